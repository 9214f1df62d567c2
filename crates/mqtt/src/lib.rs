//! MQTT 5 over mutual TLS: a server whose PUBACK waits for the application, and a client.
