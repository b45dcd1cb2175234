// A transport for tpm2-tools (TPM2TOOLS_TCTI="cmd:node record.mjs SOCKET FILE"): carries commands to the socket of swtpm, and
// writes each with its answer into the file: two lines of hexadecimal digits.
import { appendFileSync } from "node:fs";
import { connect } from "node:net";

const [socketPath, file] = process.argv.slice(2);
const socket = connect(socketPath);

function messages(stream, whole) {
  let rest = Buffer.alloc(0);
  stream.on("data", (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 6 && rest.length >= rest.readUInt32BE(2)) {
      const length = rest.readUInt32BE(2);
      whole(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  });
}

messages(process.stdin, (command) => {
  appendFileSync(file, `${command.toString("hex")}\n`);
  socket.write(command);
});
messages(socket, (answer) => {
  appendFileSync(file, `${answer.toString("hex")}\n`);
  process.stdout.write(answer);
});
process.stdin.on("end", () => socket.end());
