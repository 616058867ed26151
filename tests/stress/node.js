// Compiled and collected code, promises, timers, workers of the library and buffers until the file given exists; every
// round must yield the same.
const { createHash, pbkdf2Sync } = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

async function round() {
  const hash = createHash('sha256');
  const list = [];
  for (let i = 0; i < 500; i++) list.push({ i, text: 'x'.repeat(i % 37), half: i / 2 });
  hash.update(JSON.stringify(JSON.parse(JSON.stringify(list)).sort((a, b) => b.half - a.half)));
  hash.update(String(fib(15)));
  const packed = await new Promise((done, fail) =>
    zlib.deflate(Buffer.from(JSON.stringify(list)), (error, data) => (error ? fail(error) : done(data))));
  hash.update(zlib.inflateSync(packed));
  hash.update(await fs.promises.readFile(__filename));
  await new Promise((done) => setTimeout(done, 1));
  hash.update(pbkdf2Sync('word', 'salt', 10, 32, 'sha1'));
  try { null.x; } catch (error) { hash.update(error.name); }
  return hash.digest('hex');
}

async function main() {
  const first = await round();
  console.log('ready');
  while (!fs.existsSync(process.argv[2])) if ((await round()) !== first) process.exit(3);
  console.log('right');
}
main();
