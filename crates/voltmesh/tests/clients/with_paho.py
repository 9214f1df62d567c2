"""One sample by Paho with its default settings: PORT FOLDER TOPIC PAYLOAD. Ends with 0 once it is acknowledged."""
import sys

import paho.mqtt.client as mqtt

port, folder, topic, payload = sys.argv[1:]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.tls_set(f"{folder}/ca.crt", f"{folder}/tls.crt", f"{folder}/tls.key")
client.connect("localhost", int(port))
client.loop_start()
sent = client.publish(topic, payload, qos=1)
sent.wait_for_publish(60)
client.disconnect()
sys.exit(0 if sent.is_published() else 1)
