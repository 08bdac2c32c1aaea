/** Asks an agent over its admin socket without starting a program for it: the command line has tests of its own. */
import { request } from 'node:http';

// biome-ignore lint/suspicious/noExplicitAny: the tests read what they need
export const askAdmin = (socketPath: string, method: string, path: string, body?: object): Promise<any> =>
  new Promise((resolve, reject) => {
    const headers = body ? { 'content-type': 'application/json' } : {};
    const call = request({ socketPath, method, path, headers, timeout: 10_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.once('end', () => {
        const { ok, data, error } = JSON.parse(text);
        if (ok) resolve(data);
        else reject(new Error(error));
      });
    });
    call.once('timeout', () => call.destroy(new Error('the admin socket did not answer')));
    call.once('error', reject);
    call.end(body ? JSON.stringify(body) : undefined);
  });
