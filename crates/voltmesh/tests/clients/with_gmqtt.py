"""One sample by gmqtt with its default settings: PORT FOLDER TOPIC PAYLOAD. Ends with 0 once it is acknowledged."""
import asyncio
import ssl
import sys

import gmqtt

port, folder, topic, payload = sys.argv[1:]


async def main():
    tls = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    tls.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    client = gmqtt.Client(None)
    await client.connect("localhost", int(port), ssl=tls)
    client.publish(topic, payload, qos=1)
    # It has no other word for "acknowledged".
    await asyncio.wait_for(client._persistent_storage.wait_empty(), 60)
    await client.disconnect()


asyncio.run(main())
