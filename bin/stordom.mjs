#!/usr/bin/env node
// The command. An old Node is refused here, in syntax that it understands, before anything is
// loaded.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `stordom: Node ${process.versions.node} is too old; expected 20.19 or newer; ` +
      'install it from https://nodejs.org\n',
  );
  process.exit(2);
}
const { main } = await import('../build/src/cli/main.js');
await main(process.argv.slice(2));
