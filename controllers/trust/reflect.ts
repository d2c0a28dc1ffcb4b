/**
 * The part of the Reflect metadata proposal (https://github.com/microsoft/reflect-metadata) that `tsyringe`, under
 * `@peculiar/x509`, refuses to load without. To be imported before that package.
 */
type Key = string | symbol | undefined;

const store = new WeakMap<object, Map<Key, Map<unknown, unknown>>>();

function defineMetadata(name: unknown, value: unknown, target: object, property?: Key): void {
  const properties = store.get(target) ?? new Map<Key, Map<unknown, unknown>>();
  store.set(target, properties);
  const metadata = properties.get(property) ?? new Map<unknown, unknown>();
  properties.set(property, metadata.set(name, value));
}

function getOwnMetadata(name: unknown, target: object, property?: Key): unknown {
  return store.get(target)?.get(property)?.get(name);
}

function getMetadata(name: unknown, target: object, property?: Key): unknown {
  for (let at: unknown = target; isObject(at); at = Object.getPrototypeOf(at)) {
    if (store.get(at)?.get(property)?.has(name)) return getOwnMetadata(name, at, property);
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

if (!('getMetadata' in Reflect)) Object.assign(Reflect, { defineMetadata, getMetadata, getOwnMetadata });
