// testcontainers for Node: a container for a test, reached by its published port, gone when the test is.
import assert from "node:assert";
import net from "node:net";
import { GenericContainer, Network, Wait } from "testcontainers";

function ask(host, port) {
  return new Promise((done, failed) => {
    let text = "";
    net.connect(port, host).on("data", (data) => (text += data)).on("end", () => done(text)).on("error", failed);
  });
}

const network = await new Network().start();
const server = await new GenericContainer("busybox")
  .withCommand(["sh", "-c", "echo ready; exec nc -ll -p 80 -e echo hello"])
  .withExposedPorts(80)
  .withNetwork(network)
  .withNetworkAliases("server")
  .withCopyContentToContainer([{ content: "copied", target: "/tmp/copied" }])
  .withWaitStrategy(Wait.forAll([Wait.forLogMessage("ready"), Wait.forListeningPorts()]))
  .start();
assert.strictEqual(await ask(server.getHost(), server.getMappedPort(80)), "hello\n");
assert.strictEqual((await server.exec(["cat", "/tmp/copied"])).output, "copied");
const client = await new GenericContainer("busybox")
  .withCommand(["sh", "-c", "nc server 80; echo finished; sleep 600"])
  .withNetwork(network)
  .withWaitStrategy(Wait.forLogMessage("finished"))
  .start();
assert.strictEqual((await client.exec(["nc", "server", "80"])).output, "hello\n");
await client.stop();
await server.stop();
await network.stop();
// Left for the reaper.
await new GenericContainer("busybox").withCommand(["sleep", "600"]).start();
console.log("done");
process.exit(0);
