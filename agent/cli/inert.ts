/** What a terminal may be given. */
export { inert, inertJson } from '#shared/inert';
