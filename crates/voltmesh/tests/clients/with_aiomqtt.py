"""One sample by aiomqtt with its default settings: PORT FOLDER TOPIC PAYLOAD. Ends with 0 once it is acknowledged."""
import asyncio
import sys

import aiomqtt

port, folder, topic, payload = sys.argv[1:]


async def main():
    tls = aiomqtt.TLSParameters(f"{folder}/ca.crt", f"{folder}/tls.crt", f"{folder}/tls.key")
    async with aiomqtt.Client("localhost", int(port), tls_params=tls) as client:
        await client.publish(topic, payload, qos=1)


asyncio.run(main())
