/** The ways an API call fails, with the status, reason phrase and texts a real server gives. */

export class ApiError extends Error {
  readonly status: number;
  /** By parameter, only with status 400. */
  readonly errors: Record<string, string> | undefined;
  /** Sent as plain text: the failure came from the HTTP server, not from the API. */
  readonly plain: boolean;

  constructor(status: number, message: string, options: { errors?: Record<string, string>; plain?: boolean } = {}) {
    super(message);
    this.status = status;
    this.errors = options.errors;
    this.plain = options.plain ?? false;
  }
}

export const parameterError = (errors: Record<string, string>): ApiError =>
  new ApiError(400, 'Parameter verification failed.\n', { errors });

/** Whatever dies in API code is a 500 with its text: there is no 404. */
export const died = (text: string): ApiError => new ApiError(500, text.endsWith('\n') ? text : `${text}\n`);

export const permissionError = (what?: string): ApiError =>
  new ApiError(403, what === undefined ? 'Permission check failed\n' : `Permission check failed (${what})\n`);

export const notImplemented = (method: string, path: string): ApiError =>
  new ApiError(501, `Method '${method} ${path}' not implemented`);
