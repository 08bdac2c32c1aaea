/** A refusal as it goes out: its status and its envelope, in the form that the endpoint asks for. Pure. */
import type { AnyEndpoint } from '#shared/endpoint';
import { failure } from '#shared/envelope';
import { ERROR_STATUS, type FelhomError } from '#shared/errors';

export interface Refused {
  /** Null where the path belongs to none. */
  endpoint: AnyEndpoint | null;
  fault: FelhomError;
  vmid: number | null;
  body: unknown;
}

export interface Answer {
  status: number;
  text: string;
}

export const JSON_TYPE = 'application/json; charset=utf-8';

export const refuse = ({ endpoint, fault, vmid, body }: Refused): Answer => {
  const status = ERROR_STATUS[fault.code];
  const { code, message: error, details } = fault;
  const form = endpoint?.refusal?.({ status, code, error, vmid, body, details }) ?? { status, data: null };
  return { status: form.status, text: JSON.stringify(failure(code, error, form.data)) };
};
