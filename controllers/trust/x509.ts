import './reflect.ts';

/**
 * `@peculiar/x509`, loaded only when the metadata that its dependencies look for is there: a static import would not
 * wait for the import above it where a CommonJS module is executed while modules are linked.
 */
export const x509 = await import('@peculiar/x509');
