// Builds the console and the widget into build/web, or the folder that is given. The API's types are generated from the
// OpenAPI document each time, into a file that is not kept, so that they cannot be stale: what the API has lost or
// renamed fails the type check.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, '..', 'build', 'web'));
const document = join(here, '..', 'shared', 'httpapi', 'openapi.json');

const types = join(here, 'src', 'api', 'schema.d.ts');
const text = '// Generated from shared/httpapi/openapi.json by build.mjs.\n' + astToString(await openapiTS(new URL(`file://${document}`), { defaultNonNullable: false }));
if (!existsSync(types) || readFileSync(types, 'utf8') !== text) writeFileSync(types, text);

if (!process.argv.includes('--no-check')) {
  execFileSync(process.execPath, [join(here, 'node_modules', 'typescript', 'bin', 'tsc')], { cwd: here, stdio: 'inherit' });
}

mkdirSync(out, { recursive: true });
const shared = { root: here, configFile: false, logLevel: 'warn', clearScreen: false };
const target = 'es2022';

await build({
  ...shared,
  base: '/',
  build: {
    outDir: out, emptyOutDir: true, target, assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false,
  },
});

// The widget is one module that needs nothing beside it, under a name that never changes: a host page's script tag names it.
await build({
  ...shared,
  publicDir: false,
  build: {
    outDir: out, emptyOutDir: false, target, modulePreload: false, reportCompressedSize: false,
    rolldownOptions: {
      input: join(here, 'src', 'widget.ts'), preserveEntrySignatures: 'strict',
      output: { format: 'es', entryFileNames: 'rolecall-connect.js', codeSplitting: false },
    },
  },
});
