/// How the page looks.
enum StyleSheet {
  private struct Theme {
    var paper, ink, muted, hairline, grid, tint, accent: String
    var lines: [String]

    var variables: String {
      let names = [
        ("paper", paper), ("ink", ink), ("muted", muted), ("hairline", hairline), ("grid", grid),
        ("tint", tint), ("accent", accent),
      ]
      return
        (names.map { "--\($0): \($1);" }
        + lines.enumerated().map { "--s\($0): \($1);" }).joined(separator: " ")
    }
  }

  /// Paper and inks by name, for the tests of contrast.
  static let papers = (light: "#fdfdfb", dark: "#14171b")
  static let inks = (
    light: ["#1d2126", "#5a626c", "#1c5cab"], dark: ["#e8eaed", "#a3abb5", "#6fb0f5"]
  )

  private static let light = Theme(
    paper: papers.light, ink: inks.light[0], muted: inks.light[1], hairline: "#dfe1e3",
    grid: "#ebecee", tint: "#f3f4f3", accent: inks.light[2], lines: Palette.light)
  private static let dark = Theme(
    paper: papers.dark, ink: inks.dark[0], muted: inks.dark[1], hairline: "#343a41",
    grid: "#262b31", tint: "#1d2126", accent: inks.dark[2], lines: Palette.dark)

  static let css = """

    :root { color-scheme: light; \(light.variables) }
    @media (prefers-color-scheme: dark) { :root { color-scheme: dark; \(dark.variables) } }
    :root[data-theme="light"] { color-scheme: light; \(light.variables) }
    :root[data-theme="dark"] { color-scheme: dark; \(dark.variables) }
    @media print {
      :root, :root[data-theme="dark"] { color-scheme: light; \(light.variables) --paper: #fff; }
    }
    \(rules)
    \(lineRules)
    \(printing)
    """

  private static let lineRules = Palette.light.indices
    .map { ".s\($0) { color: var(--s\($0)); }" }.joined(separator: "\n")

  private static let rules = """
    *, ::before, ::after { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
    @media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
    body { margin: 0 auto; max-width: 1180px; padding: 0 clamp(16px, 4vw, 48px) 64px;
      background: var(--paper); color: var(--ink);
      font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
        "Liberation Sans", Arial, sans-serif; font-variant-numeric: tabular-nums; }
    a { color: var(--accent); }
    a:focus-visible, button:focus-visible, summary:focus-visible, .scroll:focus-visible {
      outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
    code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono",
      monospace; font-size: 0.875em; overflow-wrap: anywhere; }
    .skip { position: absolute; left: -9999px; }
    .skip:focus { left: 16px; top: 8px; padding: 8px 16px; background: var(--paper); z-index: 3; }
    .hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
      clip-path: inset(50%); white-space: nowrap; }

    header { padding-top: 40px; }
    .kicker { display: flex; justify-content: space-between; align-items: center; margin: 0;
      min-height: 32px; color: var(--muted); font-size: 0.875rem; letter-spacing: 0.02em; }
    button { font: inherit; color: var(--muted); background: none; cursor: pointer;
      border: 1px solid var(--hairline); border-radius: 999px; padding: 3px 14px; }
    button:hover { color: var(--ink); }
    h1 { margin: 4px 0 12px; font-size: clamp(1.9rem, 5vw, 2.6rem); line-height: 1.15;
      font-weight: 680; letter-spacing: -0.02em; overflow-wrap: anywhere; }
    h2 { margin: 0 0 20px; font-size: 1.45rem; line-height: 1.25; font-weight: 650;
      letter-spacing: -0.01em; }
    h3 { margin: 0; font-size: 1rem; line-height: 1.35; font-weight: 620; }
    .lead { max-width: 46rem; margin: 0 0 24px; color: var(--muted); font-size: 1.06rem;
      overflow-wrap: anywhere; }
    nav ul { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0; padding: 0;
      list-style: none; font-size: 0.94rem; }
    nav a { display: inline-block; padding: 4px 0; text-decoration: none; }
    nav a:hover { text-decoration: underline; }
    section { margin-top: 64px; padding-top: 28px; border-top: 1px solid var(--hairline); }
    section > h3 { margin: 36px 0 12px; }
    section > p { max-width: 46rem; }
    .summary { margin-top: 32px; padding-top: 0; border: 0; }
    .note, .absent { color: var(--muted); font-size: 0.9rem; }
    .absent { padding: 14px 18px; background: var(--tint); border-radius: 8px; font-size: 1rem; }
    footer { margin-top: 72px; padding-top: 20px; border-top: 1px solid var(--hairline);
      color: var(--muted); font-size: 0.875rem; }

    .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr));
      gap: 12px; margin: 0; }
    .card { padding: 16px 18px 14px; background: var(--tint); border-radius: 10px; }
    .card dt { color: var(--muted); font-size: 0.875rem; }
    .card dd { margin: 0; }
    .card strong { display: block; margin: 2px 0 4px; font-size: 1.75rem; line-height: 1.2;
      font-weight: 640; letter-spacing: -0.015em; }
    .card span { display: block; color: var(--muted); font-size: 0.8125rem; line-height: 1.4; }

    figure { margin: 0; min-width: 0; }
    .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr));
      gap: 40px 44px; align-items: end; }
    .chart { position: relative; }
    .charts.detection { margin-bottom: 36px; }
    @media (min-width: 1000px) {
      .charts.full { grid-template-columns: repeat(6, 1fr); }
      .charts.full .chart { grid-column: span 3; }
      .charts.full .small { grid-column: span 2; }
      .charts.detection { grid-template-columns: 2fr 1fr; }
    }
    .chart figcaption { margin-bottom: 8px; }
    .chart .note { margin: 6px 0 0; }
    .legend { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 4px 0 0; padding: 0;
      list-style: none; color: var(--muted); font-size: 0.875rem; }
    .legend li { display: flex; align-items: center; gap: 7px; }
    .swatch { flex: none; width: 22px; height: 10px; }
    .plot { display: block; width: 100%; height: auto; overflow: visible; touch-action: pan-y; }
    .plot text { fill: var(--muted); font-size: 12px; }
    .plot .grid { stroke: var(--grid); }
    .plot .axis { stroke: var(--hairline); }
    .plot .band { fill: var(--tint); }
    .plot .band-label { font-size: 11px; }
    .line { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round;
      stroke-linecap: round; }
    .line.strong { stroke-width: 2.4; }
    .line.faint { stroke-width: 1; opacity: 0.32; }
    .line.reference { stroke-width: 1.2; stroke-dasharray: 2 5; }
    .line.dashed { stroke-dasharray: 7 4; }
    .mark { fill: currentColor; stroke: var(--paper); stroke-width: 1; }
    .cursor { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 3 3; pointer-events: none; }
    .spot { fill: var(--paper); stroke: currentColor; stroke-width: 2; pointer-events: none; }
    .tip { position: absolute; z-index: 2; pointer-events: none; max-width: 260px;
      padding: 7px 11px; background: var(--ink); color: var(--paper); border-radius: 6px;
      font-size: 0.8125rem; line-height: 1.45; overflow-wrap: anywhere; }
    .tip b { display: block; font-weight: 620; }

    .scroll { overflow-x: auto; max-width: 100%; }
    table { border-collapse: collapse; font-size: 0.9375rem; }
    caption { padding: 0 0 10px; text-align: left; color: var(--muted); font-size: 0.9rem; }
    caption span { display: block; position: sticky; left: 0; width: fit-content;
      max-width: calc(100vw - 32px); }
    .figures { width: 100%; margin-bottom: 28px; }
    .figures th, .figures td { padding: 8px 14px 8px 0; text-align: right; white-space: nowrap;
      border-bottom: 1px solid var(--hairline); }
    .figures th:first-child { text-align: left; }
    .figures th:last-child, .figures td:last-child { padding-right: 0; }
    .figures thead th { color: var(--muted); font-size: 0.8125rem; font-weight: 500;
      vertical-align: bottom; }
    .figures tbody th { font-weight: 400; }
    .figures .total th, .figures .total td { font-weight: 640; }
    #configuration .figures td, #environment .figures td, #configuration .figures th,
    #environment .figures th { text-align: left; white-space: normal; overflow-wrap: anywhere;
      vertical-align: top; }
    #environment .figures th { min-width: 9rem; }
    .matrices { display: grid; gap: 32px 44px;
      grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
    .matrices > div { min-width: 0; }
    .matrix th { font-weight: 400; padding: 4px 10px 4px 0; text-align: left; }
    .matrix .upright { height: 9.5em; padding: 4px 0; vertical-align: bottom; text-align: center; }
    .matrix .upright span { writing-mode: vertical-rl; transform: rotate(180deg);
      max-height: 12em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .matrix tbody th { max-width: 11em; overflow: hidden; text-overflow: ellipsis;
      white-space: nowrap; }
    .matrix td { min-width: 52px; height: 40px; padding: 4px; text-align: center;
      border: 2px solid var(--paper); border-radius: 6px; }
    .matrix .corner { padding-left: 0; text-align: left; vertical-align: bottom; color: var(--muted);
      font-size: 0.8125rem; white-space: nowrap; border: 0; }

    .scale { display: flex; align-items: center; gap: 10px; margin: 8px 0 14px;
      color: var(--muted); font-size: 0.8125rem; }
    .ramp { width: 160px; height: 10px; border-radius: 3px; }
    .gallery, .examples { display: grid; gap: 36px 44px; margin-top: 20px;
      grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
    .pictures { display: flex; gap: 8px; }
    .pictures div { flex: 1 1 0; min-width: 0; }
    .pictures img { display: block; width: 100%; height: auto; border-radius: 6px; }
    .pictures span { display: block; margin-top: 4px; color: var(--muted); font-size: 0.8125rem; }
    .prototype figcaption, .example figcaption { margin-bottom: 8px; }
    .prototype p, .example p { margin: 0; color: var(--muted); font-size: 0.9rem; }
    .example p strong { color: var(--ink); font-weight: 620; }
    .example .source { font-size: 0.8125rem; overflow: hidden; text-overflow: ellipsis;
      white-space: nowrap; }
    h3 { overflow-wrap: anywhere; }
    .tag { margin-left: 10px; padding: 2px 9px; color: var(--paper); background: var(--s7);
      border-radius: 999px; font-size: 0.75rem; font-weight: 560; white-space: nowrap; }

    details { margin-top: 28px; }
    summary { padding: 6px 0; color: var(--accent); cursor: pointer; }
    details .scroll { margin-top: 12px; }
    pre { margin: 0; padding: 18px 20px; background: var(--tint); border-radius: 8px;
      line-height: 1.5; overflow-wrap: normal; }
    pre .remark { color: var(--muted); }

    @media (max-width: 620px) {
      section { margin-top: 48px; padding-top: 24px; }
      .cards { grid-template-columns: 1fr 1fr; gap: 10px; }
      .card { padding: 14px 14px 12px; }
      .card strong { font-size: 1.5rem; }
      .plot text { font-size: 15px; }
      .small .plot text { font-size: 12px; }
      .small .line { stroke-width: 1.7; }
      .small .line.strong { stroke-width: 2.4; }
      #plot-roc text { font-size: 21px; }
      .plot .band-label { display: none; }
      .line { stroke-width: 2.1; }
      .line.strong { stroke-width: 3; }
      #plot-roc .line { stroke-width: 3; }
      #plot-roc .line.strong { stroke-width: 4.2; }
      .example .pictures { flex-wrap: wrap; }
      .example .pictures div { flex-basis: calc(50% - 4px); }
      .matrix, .matrix .corner { font-size: 0.8125rem; }
      .matrix td { min-width: 42px; padding: 4px 0; }
      .matrix tbody th { max-width: 9.4em; padding-right: 6px; }
    }
    """

  /// A page of paper is about 720 pixels wide.
  private static let printing = """
    @media print {
      body { max-width: none; padding: 0; font-size: 10pt; }
      header { padding-top: 0; }
      .skip, nav, button, .tip { display: none; }
      .scroll { overflow: visible; }
      .chart, .prototype, .example, .card, .matrices > div, tr { break-inside: avoid; }
      h2, h3, caption, thead, .scale, section > p { break-after: avoid; }
      p { break-inside: avoid; }
      section { margin-top: 24px; padding-top: 16px; }
      .summary { margin-top: 16px; padding-top: 0; }
      .card, .absent, pre { border: 1px solid var(--hairline); }
      .card, .absent, pre, .matrix td, .plot .band, .tag { print-color-adjust: exact;
        -webkit-print-color-adjust: exact; }
      .cards { grid-template-columns: repeat(4, 1fr); gap: 8px; }
      .card { padding: 10px 12px; }
      .card strong { font-size: 1.4rem; }
      .charts { grid-template-columns: 1fr 1fr; gap: 20px 24px; }
      .charts.full { grid-template-columns: repeat(6, 1fr); }
      .charts.full .chart { grid-column: span 3; }
      .charts.full .small { grid-column: span 2; }
      .charts.detection { grid-template-columns: 2fr 1fr; }
      .plot text { font-size: 15px; }
      .plot .band-label { font-size: 13px; }
      .legend { font-size: 8pt; }
      .figures { font-size: 8.5pt; }
      .figures th, .figures td { padding: 5px 10px 5px 0; }
      .matrices { display: flex; flex-wrap: wrap; gap: 20px 32px; }
      .matrix, .matrix .corner { font-size: 8.5pt; }
      .matrix td { min-width: 40px; height: 30px; padding: 2px; }
      .gallery, .examples { grid-template-columns: 1fr 1fr; gap: 20px 28px; }
      pre { white-space: pre-wrap; font-size: 7.5pt; }
    }
    """
}
