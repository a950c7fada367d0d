/// How the page looks: the rules of Resources/report.css and print.css, behind the colours that Swift
/// code knows too.
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

  private static let rules = String(decoding: PackageResources.report_css, as: UTF8.self)

  /// A page of paper is about 720 pixels wide.
  private static let printing = String(decoding: PackageResources.print_css, as: UTF8.self)
}
