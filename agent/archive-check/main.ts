/**
 * `archive-check <format> <path>`: reads an archive to its end. One JSON line with what was found, before it a line with the
 * bytes read every few seconds while there are more. Exit status: 0 whole, 1 could not be read, 2 damaged, 3 not supported here.
 */
import { checkArchive } from './check.ts';
import { EXIT } from './finding.ts';

const PROGRESS_MS = 5000;

const write = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const [format = '', path = ''] = process.argv.slice(2);
let readBytes = 0;
let toldBytes = 0;
const timer = setInterval(() => {
  if (readBytes > toldBytes) write({ read_bytes: readBytes });
  toldBytes = readBytes;
}, PROGRESS_MS);
const finding = await checkArchive(path, format, (bytes) => {
  readBytes += bytes;
});
clearInterval(timer);
write({ ok: finding.verdict === 'whole', ...finding });
process.exitCode = EXIT[finding.verdict];
