import { css } from 'lit';

/** The widget's colours and shapes: each is a custom property that a host page may set, with a default for light and dark. */
export const theme = css`
  :host {
    --_accent: var(--rolecall-accent, light-dark(#3346c9, #97a6ff));
    --_accent-text: var(--rolecall-accent-text, light-dark(#ffffff, #10142e));
    --_surface: var(--rolecall-surface, light-dark(#ffffff, #171a21));
    --_raised: var(--rolecall-raised, light-dark(#f6f7fa, #1f232c));
    --_text: var(--rolecall-text, light-dark(#171a23, #eceef3));
    --_soft: var(--rolecall-muted, light-dark(#565d6d, #a9b0bf));
    --_line: var(--rolecall-border, light-dark(#dcdfe6, #343a47));
    --_field: var(--rolecall-field-border, light-dark(#858c9b, #6b7384));
    --_good: var(--rolecall-success, light-dark(#096637, #4fd08c));
    --_bad: var(--rolecall-danger, light-dark(#bb1f2d, #ff8b8b));
    --_busy: var(--rolecall-busy, light-dark(#8a5a00, #f2bd57));
    --_radius: var(--rolecall-radius, 12px);
    --_hover: light-dark(rgb(20 30 80 / 5%), rgb(200 210 255 / 8%));
    color-scheme: light dark;
    font-family: var(--rolecall-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif);
    font-size: var(--rolecall-font-size, 0.9375rem);
    line-height: 1.5;
    color: var(--_text);
  }
  :host([theme="light"]) { color-scheme: light; }
  :host([theme="dark"]) { color-scheme: dark; }
  :host([hidden]) { display: none; }
  *, *::before, *::after { box-sizing: border-box; }
  .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  .icon { flex: none; }

  button, .button {
    font: inherit; font-weight: 600; line-height: 1.25; min-height: 2.5rem; padding: 0.5rem 1rem; cursor: pointer; text-decoration: none;
    display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem; border-radius: calc(var(--_radius) * 0.66);
    border: 1px solid var(--_line); background: var(--_surface); color: var(--_text);
  }
  button:hover, .button:hover { background: var(--_raised); }
  button.primary, .button.primary { background: var(--_accent); border-color: var(--_accent); color: var(--_accent-text); }
  button.primary:hover, .button.primary:hover { filter: brightness(1.08); }
  button.plain { border-color: transparent; background: transparent; color: var(--_accent); padding-inline: 0.5rem; }
  button.plain:hover { background: var(--_hover); }
  button[aria-disabled="true"] { opacity: 0.55; cursor: default; filter: none; }
  button.icon-only { padding: 0.5rem; min-height: 2.25rem; border-color: transparent; background: transparent; color: var(--_soft); }
  button.icon-only:hover { background: var(--_hover); color: var(--_text); }
  :focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }

  label, .label { font-weight: 600; display: block; }
  .hint { color: var(--_soft); font-size: 0.875em; margin: 0.25rem 0 0; }
  .wrong { color: var(--_bad); font-size: 0.875em; margin: 0.25rem 0 0; font-weight: 550; }
  .fine { color: var(--_good); font-size: 0.875em; margin: 0.25rem 0 0; }
  input:not([type="radio"]), select, textarea {
    font: inherit; color: inherit; background: var(--_surface); border: 1px solid var(--_field); border-radius: calc(var(--_radius) * 0.66);
    width: 100%; min-height: 2.5rem; padding: 0.5rem 0.75rem; margin-top: 0.375rem;
  }
  input[aria-invalid="true"] { border-color: var(--_bad); }
  code, .mono { font-family: var(--rolecall-mono, ui-monospace, "SF Mono", Menlo, Consolas, monospace); font-size: 0.875em; overflow-wrap: anywhere; }
  @media (prefers-reduced-motion: no-preference) {
    button, .button { transition: background-color 0.12s, filter 0.12s; }
  }
`;

export const layout = css`
  :host { display: block; container-type: inline-size; text-align: start; }
  .card { background: var(--_surface); border: 1px solid var(--_line); border-radius: var(--_radius); overflow: clip; }
  header { display: flex; align-items: center; gap: 0.75rem; padding: 0.875rem 1.25rem; border-bottom: 1px solid var(--_line); }
  header h2 { font-size: 1.0625rem; line-height: 1.3; font-weight: 650; margin: 0; min-width: 0; overflow-wrap: anywhere; flex: 1; }
  h2:focus, h3:focus { outline: none; }
  .where { display: block; font-weight: 400; font-size: 0.8125rem; color: var(--_soft); }
  .body { padding: 1.25rem; }
  .foot { display: flex; flex-wrap: wrap; gap: 0.5rem 0.75rem; align-items: center; margin-top: 1.25rem; }
  .foot .push { margin-inline-start: auto; }
  .foot + .tabs { margin-top: 1.25rem; }
  .field { margin-bottom: 1.125rem; }
  .pair { display: grid; gap: 0 1rem; }
  h3 { font-size: 1rem; font-weight: 650; margin: 0 0 0.5rem; }
  p { margin: 0 0 0.75rem; }
  .lead { color: var(--_soft); }

  fieldset { border: 0; margin: 0 0 1.125rem; padding: 0; min-width: 0; }
  legend { font-weight: 600; padding: 0; margin-bottom: 0.375rem; }
  .choices { border: 1px solid var(--_line); border-radius: calc(var(--_radius) * 0.75); overflow: clip; }
  .choice { display: grid; grid-template-columns: auto auto 1fr; gap: 0.125rem 0.75rem; align-items: center; padding: 0.6875rem 0.875rem; cursor: pointer; font-weight: 400; }
  .choice + .choice { border-top: 1px solid var(--_line); }
  .choice:hover { background: var(--_hover); }
  .choice:has(:checked) { background: color-mix(in srgb, var(--_accent) 9%, transparent); }
  .choice:has(:focus-visible) { outline: 2px solid var(--_accent); outline-offset: -2px; }
  .choice input { width: 1.0625rem; height: 1.0625rem; margin: 0; accent-color: var(--_accent); outline: none; }
  .choice .icon { color: var(--_soft); }
  .choice strong { font-weight: 600; }
  .choice small { grid-column: 3; color: var(--_soft); font-size: 0.8125rem; }
  .tag { font-size: 0.75rem; font-weight: 600; color: var(--_accent); border: 1px solid currentColor; border-radius: 99px; padding: 0.0625rem 0.5rem; margin-inline-start: 0.125rem; white-space: nowrap; }

  details { border-top: 1px solid var(--_line); padding-top: 0.75rem; }
  summary { cursor: pointer; font-weight: 600; display: inline-flex; align-items: center; gap: 0.375rem; list-style: none; border-radius: 4px; }
  summary::-webkit-details-marker { display: none; }
  details[open] summary .icon { transform: rotate(180deg); }
  summary:not(:has(.icon))::before { content: ""; width: 0.4375rem; height: 0.4375rem; margin: 0 0.25rem; border: solid currentColor; border-width: 0 1.8px 1.8px 0; transform: translateY(-0.125rem) rotate(45deg); }
  details[open] > summary:not(:has(.icon))::before { transform: translateY(0.125rem) rotate(225deg); }
  .fix + details, .snippet + details { margin-top: 0.875rem; }
  details .field:first-of-type { margin-top: 0.75rem; }

  .columns { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; }
  .guide p:has(> .button) { margin: 1rem 0; }
  .guide ol { margin: 1rem 0; padding: 0; list-style: none; counter-reset: step; display: grid; gap: 0.875rem; }
  .guide ol > li { counter-increment: step; display: grid; grid-template-columns: 1.5rem minmax(0, 1fr); gap: 0.625rem; }
  .guide ol > li::before { content: counter(step); width: 1.5rem; height: 1.5rem; border-radius: 50%; display: grid; place-items: center; font-size: 0.8125rem; font-weight: 650; background: var(--_raised); border: 1px solid var(--_line); }
  .guide ol > li > div > p { margin: 0 0 0.375rem; }
  .guide ol > li > div > p:last-child { margin-bottom: 0; }
  .preview { border: 1px dashed var(--_field); border-radius: calc(var(--_radius) * 0.5); padding: 0.625rem 0.75rem; font-size: 0.8125rem; background: var(--_raised); display: flex; gap: 0.5rem; align-items: flex-start; }
  .box { flex: none; width: 1rem; height: 1rem; margin-top: 0.125rem; border-radius: 3px; background: var(--_accent); color: var(--_accent-text); display: grid; place-items: center; }
  .box .icon { width: 0.875rem; height: 0.875rem; }
  .orange { display: inline-block; background: #ff9900; color: #16191f; border-radius: 99px; padding: 0 0.625rem; font-weight: 700; font-size: 0.8125rem; }
  .facts { display: grid; gap: 0.5rem; margin: 0.5rem 0; }
  .facts > div { min-width: 0; }
  dl.facts dt { color: var(--_soft); font-size: 0.8125rem; }
  dl.facts dd { margin: 0; display: flex; align-items: center; gap: 0.25rem; overflow-wrap: anywhere; }
  .snippet { position: relative; border: 1px solid var(--_line); border-radius: calc(var(--_radius) * 0.66); background: var(--_raised); margin: 0.5rem 0; }
  .snippet pre { margin: 0; padding: 0.625rem 0.75rem; overflow: auto; max-height: 15rem; font-family: var(--rolecall-mono, ui-monospace, "SF Mono", Menlo, Consolas, monospace); font-size: 0.78125rem; line-height: 1.5; white-space: pre; border-radius: inherit; }
  .snippet .bar { display: flex; justify-content: space-between; align-items: center; gap: 0.5rem; padding: 0.25rem 0.375rem 0.25rem 0.75rem; border-bottom: 1px solid var(--_line); font-size: 0.8125rem; color: var(--_soft); }
  .tabs { display: flex; flex-wrap: wrap; gap: 0.25rem; margin: 0 0 1rem; padding: 0.1875rem; background: var(--_raised); border-radius: calc(var(--_radius) * 0.75); }
  .tabs button { min-height: 2rem; padding: 0.25rem 0.5rem; flex: 1 1 auto; font-size: 0.8125rem; border-color: transparent; background: transparent; color: var(--_soft); }
  .tabs button[aria-pressed="true"] { background: var(--_surface); color: var(--_text); border-color: var(--_line); box-shadow: 0 1px 2px rgb(0 0 0 / 8%); }

  .progress { background: var(--_raised); border-radius: calc(var(--_radius) * 0.85); padding: 1rem 1.125rem; align-self: start; }
  .progress h3 { display: flex; justify-content: space-between; gap: 0.5rem; }
  .steps { list-style: none; margin: 0; padding: 0; }
  .steps li { display: grid; grid-template-columns: 1.5rem minmax(0, 1fr); gap: 0 0.625rem; padding-bottom: 0.75rem; position: relative; }
  .steps > li:last-child { padding-bottom: 0; }
  .steps li:not(:last-child)::before { content: ""; position: absolute; inset: 1.5rem auto 0 calc(0.75rem - 1px); border-inline-start: 2px solid var(--_line); }
  .steps .dot { width: 1.5rem; height: 1.5rem; border-radius: 50%; border: 2px solid var(--_line); display: grid; place-items: center; background: var(--_surface); color: var(--_soft); }
  .steps .dot .icon { width: 1rem; height: 1rem; stroke-width: 2.4; }
  .steps .done .dot { background: var(--_good); border-color: var(--_good); color: var(--_surface); }
  .steps .bad .dot { background: var(--_bad); border-color: var(--_bad); color: var(--_surface); }
  .steps .now .dot { border-color: var(--_accent); }
  .steps .now .dot::after { content: ""; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--_accent); }
  .steps .wait .what { color: var(--_soft); }
  .steps .what { font-weight: 600; }
  .steps .more { color: var(--_soft); font-size: 0.8125rem; overflow-wrap: anywhere; }
  .checks { list-style: none; margin: 0.375rem 0 0; padding: 0; display: grid; gap: 0.25rem; }
  .checks li { display: grid; grid-template-columns: 1.125rem minmax(0, 1fr); gap: 0.375rem; font-size: 0.875rem; padding: 0; }
  .checks li::before { display: none; }
  .checks .icon { width: 1.125rem; height: 1.125rem; margin-top: 0.125rem; }
  .passed .icon { color: var(--_good); }
  .failed .icon { color: var(--_bad); }
  .unknown .icon { color: var(--_busy); }

  .ringed { display: flex; gap: 0.875rem; align-items: center; margin: 0.375rem 0 1.125rem; }
  .ringed p:last-child { margin-bottom: 0; }
  .ring { flex: none; }
  .ring .track { stroke: var(--_line); }
  .ring .left { stroke: var(--_accent); }
  .ring text { fill: var(--_text); font-weight: 650; font-size: 15px; font-variant-numeric: tabular-nums; }

  .note { border-radius: calc(var(--_radius) * 0.66); padding: 0.75rem 0.875rem; margin-bottom: 1rem; border: 1px solid var(--_line); background: var(--_raised); overflow-wrap: anywhere; }
  .note.bad { border-color: var(--_bad); background: color-mix(in srgb, var(--_bad) 7%, var(--_surface)); }
  .note.busy { border-color: var(--_busy); background: color-mix(in srgb, var(--_busy) 8%, var(--_surface)); }
  .note h3 { display: flex; gap: 0.5rem; align-items: center; margin-bottom: 0.25rem; }
  .note.bad h3 { color: var(--_bad); }
  .note p:last-child { margin-bottom: 0; }
  .fix { margin-top: 0.75rem; }
  .fix pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .code { font-size: 0.75rem; color: var(--_soft); }

  .success { text-align: center; padding: 1rem 0 0.25rem; }
  .success .seal { width: 3.5rem; height: 3.5rem; border-radius: 50%; margin: 0 auto 0.75rem; display: grid; place-items: center; background: var(--_good); color: var(--_surface); }
  .success .seal .icon { width: 2rem; height: 2rem; stroke-width: 2.4; }
  .success h3 { font-size: 1.25rem; }
  .success .checks { text-align: start; max-width: 27rem; margin: 1rem auto; }
  .success .foot { justify-content: center; }

  @container (min-width: 40rem) {
    .columns { grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr); gap: 1.75rem; }
    .pair { grid-template-columns: 1fr 1fr; }
    .body { padding: 1.5rem; }
    header { padding-inline: 1.5rem; }
  }
  @container (max-width: 26rem) {
    .tabs { display: grid; grid-template-columns: 1fr 1fr; }
    .body { padding: 1rem; }
    header { padding-inline: 1rem; }
    button, .button { padding-inline: 0.75rem; }
    p:has(> .button) > .button { width: 100%; }
    .foot > button, .foot > .button { width: 100%; }
    .foot .push { margin-inline-start: 0; }
  }
  @media (prefers-reduced-motion: no-preference) {
    .steps .now .dot::after { animation: pulse 1.4s ease-in-out infinite; }
    .ring .left { transition: stroke-dashoffset 0.3s linear; }
    .success .seal { animation: pop 0.35s cubic-bezier(0.2, 1.6, 0.4, 1); }
  }
  @keyframes pulse { 50% { transform: scale(0.6); opacity: 0.6; } }
  @keyframes pop { from { transform: scale(0.6); opacity: 0; } }
`;
