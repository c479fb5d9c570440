/** What a host page loads: one module that defines <rolecall-connect> and <rolecall-select>. */
export { RolecallConnect } from './connect/element.js';
export { RolecallSelect } from './select/element.js';
export type { TokenProvider } from './api/client.js';
