/** What ends this program early. The message is whole sentences: what is wrong, and what to do next. */

/** Nothing was signed, made or proved. */
export class OpsignFailed extends Error {
  override readonly name = 'OpsignFailed';
}
