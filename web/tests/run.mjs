// Runs all tests against the laptop target that ROLECALL_URL names; browser_test.go starts it.
import { runAll } from './runner.mjs';
import './bundles.test.mjs';
import './journey.test.mjs';
import './failures.test.mjs';
import './console.test.mjs';
import './host.test.mjs';
import './select.test.mjs';
import './features.test.mjs';
import './waiting.test.mjs';
import './rollback.test.mjs';
import './codes.test.mjs';
import './guides.test.mjs';
import './resume.test.mjs';
import './use.test.mjs';
import './newer.test.mjs';
import './organizations.test.mjs';
import './session.test.mjs';
import './follow.test.mjs';
import './readers.test.mjs';
import './expected.test.mjs';

process.exit(await runAll());
