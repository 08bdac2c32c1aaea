/** `drive-format <order>`: erases one drive and makes one file system on it. The order is JSON (protocol.ts). Started by agent/ports/drive-format.ts only. */
import { run } from './course.ts';
import type { FormatOrder } from './protocol.ts';

await run(JSON.parse(process.argv[2] ?? '') as FormatOrder);
