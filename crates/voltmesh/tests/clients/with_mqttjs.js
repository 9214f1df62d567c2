// One sample by MQTT.js with its default settings: PORT FOLDER TOPIC PAYLOAD. Ends with 0 once it is acknowledged.
const fs = require("node:fs");
const mqtt = require("mqtt");

const [port, folder, topic, payload] = process.argv.slice(2);
const read = (name) => fs.readFileSync(`${folder}/${name}`);
const client = mqtt.connect(`mqtts://localhost:${port}`, {
  ca: read("ca.crt"),
  cert: read("tls.crt"),
  key: read("tls.key"),
});
client.on("error", (error) => console.error(error.message));
client.publish(topic, payload, { qos: 1 }, (error) => {
  if (error) console.error(error.message);
  client.end(true, () => process.exit(error ? 1 : 0));
});
