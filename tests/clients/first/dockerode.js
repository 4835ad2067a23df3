// dockerode: what its users do first.
const assert = require("node:assert");
const { PassThrough } = require("node:stream");
const Docker = require("dockerode");

const docker = new Docker();

async function text(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function main() {
  assert.strictEqual((await docker.ping()).toString(), "OK");
  const out = new PassThrough();
  const said = text(out);
  const [result, once] = await docker.run("busybox", ["sh", "-c", "echo hi; exit 3"], out);
  out.end();
  assert.strictEqual(result.StatusCode, 3);
  assert.match(await said, /hi/);
  await once.remove();

  const box = await docker.createContainer({
    name: "box", Image: "busybox", Cmd: ["sh", "-c", "echo up; sleep 600"], Labels: { a: "b" },
    ExposedPorts: { "80/tcp": {} }, HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "8080" }] }, Memory: 64 << 20 },
  });
  await box.start();
  const found = await box.inspect();
  assert.ok(found.State.Running);
  assert.strictEqual(found.HostConfig.Memory, 64 << 20);
  assert.strictEqual((await docker.listContainers({ filters: { label: ["a=b"] } })).length, 1);

  const exec = await box.exec({ Cmd: ["sh", "-c", "echo out; echo err >&2"], AttachStdout: true, AttachStderr: true });
  const both = await exec.start({ hijack: true, stdin: false });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const heard = Promise.all([text(stdout), text(stderr)]);
  docker.modem.demuxStream(both, stdout, stderr);
  both.on("end", () => { stdout.end(); stderr.end(); });
  assert.deepStrictEqual(await heard, ["out\n", "err\n"]);
  assert.strictEqual((await exec.inspect()).ExitCode, 0);

  // A terminal that is typed into.
  const shell = await docker.createContainer({ Image: "busybox", Cmd: ["cat"], OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true });
  const streams = await shell.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  await shell.start();
  const echoed = new PassThrough();
  docker.modem.demuxStream(streams, echoed, echoed);
  streams.on("end", () => echoed.end());
  streams.end("typed\n");
  assert.strictEqual(await text(echoed), "typed\n");
  await shell.wait();
  await shell.remove();

  assert.match((await box.logs({ stdout: true })).toString(), /up/);
  assert.ok((await box.stats({ stream: false })).memory_stats.usage > 0);
  const events = await docker.getEvents({ filters: { container: ["box"], event: ["die"] } });
  const died = new Promise((done) => events.once("data", (data) => done(JSON.parse(data))));
  await box.stop({ t: 0 });
  assert.strictEqual((await died).Action, "die");
  events.destroy();

  const network = await docker.createNetwork({ Name: "net" });
  await network.connect({ Container: "box", EndpointConfig: { Aliases: ["web"] } });
  await network.disconnect({ Container: "box" });
  await network.remove();
  const volume = await docker.createVolume({ Name: "data" });
  assert.strictEqual((await volume.inspect()).Driver, "local");
  await volume.remove();
  await box.remove({ force: true });
  await assert.rejects(box.inspect(), { statusCode: 404 });

  const pulled = await docker.pull("127.0.0.1:9/nobody/nothing:1").then(() => null, (error) => error);
  assert.ok(pulled, "nobody is there to pull from");
  console.log("done");
}

main().catch((error) => { console.error(error); process.exit(1); });
