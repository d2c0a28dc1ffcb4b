/** `metadata` as far as the SDK looks at it; `metav1.ObjectMeta`. Times are RFC 3339 strings. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** What every Kubernetes object has. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** Where a kind lives in the API and how one of its objects is read. */
export interface Kind<T extends KubeObject = KubeObject> {
  /** API group; empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Resource name as in URLs, for example `pods`. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Gives an object that came from the API server its type; may validate, and throw. */
  parse(object: KubeObject): T;
}

export interface KindInit<T extends KubeObject> extends Omit<Kind<T>, 'parse'> {
  /** Without it the API server's schema is trusted. */
  readonly parse?: (object: KubeObject) => T;
}

/** Describes a kind; `T` is what its objects look like as JSON. */
export function defineKind<T extends KubeObject = KubeObject>(init: KindInit<T>): Kind<T> {
  // The one place where the API server's schema is taken at its word.
  return { ...init, parse: init.parse ?? ((object) => object as T) };
}

export function apiVersion(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `plural.group`, as `kubectl` names a resource: for messages. */
export function kindName(kind: Pick<Kind, 'group' | 'plural'>): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

/** Name and, for namespaced kinds, namespace of one object. */
export interface ObjectRef {
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** `namespace/name`, or `name` where there is no namespace: the key of stores and queues. */
export function keyOf(ref: ObjectRef): string {
  return ref.namespace === undefined || ref.namespace === '' ? ref.name : `${ref.namespace}/${ref.name}`;
}

/** The inverse of {@link keyOf}. */
export function refOf(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The URL path of a collection, or of one object if `ref` is given, or of its `subresource`. */
export function pathOf(
  kind: Kind,
  at: { readonly namespace?: string | undefined; readonly name?: string; readonly subresource?: string | undefined },
): string {
  if (kind.namespaced && at.name !== undefined && (at.namespace === undefined || at.namespace === '')) {
    throw new TypeError(`${kindName(kind)} ${at.name} needs a namespace: ${kind.kind} is a namespaced kind`);
  }
  const parts = kind.group === '' ? ['api', kind.version] : ['apis', kind.group, kind.version];
  if (kind.namespaced && at.namespace !== undefined && at.namespace !== '') parts.push('namespaces', at.namespace);
  parts.push(kind.plural);
  if (at.name !== undefined) parts.push(at.name);
  if (at.subresource !== undefined) parts.push(at.subresource);
  // "." and ".." are what encodeURIComponent leaves alone and URL parsers would resolve away.
  return `/${parts.map((part) => (/^\.+$/.test(part) ? part.replaceAll('.', '%2E') : encodeURIComponent(part))).join('/')}`;
}
