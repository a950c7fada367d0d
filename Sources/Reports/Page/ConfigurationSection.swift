import Configuration
import Foundations

extension ReportPage {
  /// The settings: what differs from the paper's, and all of them.
  func configuration() -> Section {
    var body = HTML.nothing
    if let configuration = contents.configuration {
      let differences = configuration.chosenDifferences(from: .paper)
      if differences.isEmpty {
        body += "<p>Every setting is the paper's.</p>\n"
      } else {
        body += FigureTable(
          caption: "What differs from the paper's settings",
          columns: ["setting", "value", "paper"],
          rows: differences.map { difference in
            [
              "<code>\(difference.key)</code>", "<code>\(difference.after)</code>",
              "<code>\(difference.before)</code>",
            ]
          }
        ).html()
      }
      let lines: [HTML] = configuration.yaml.split(
        separator: "\n", omittingEmptySubsequences: false
      ).map { line in
        let isRemark = line.drop { $0 == " " }.hasPrefix("#")
        return isRemark ? "<span class=\"remark\">\(String(line))</span>\n" : "\(String(line))\n"
      }
      body += """
        <details><summary>Every setting</summary>
        <pre class="scroll" tabindex="0">\(lines)</pre></details>

        """
    } else {
      body += absence(.configuration, otherwise: "The run has no config.yaml.")
    }
    return Section(identifier: "configuration", title: "Configuration", body: body)
  }

  /// Machines and versions.
  func environment() -> Section {
    var body = HTML.nothing
    if let environment = contents.environment, let members = environment.members {
      var rows: [[HTML]] = []
      for member in members { add(member, prefix: "", to: &rows) }
      body += FigureTable(
        caption: "Where and by what the run was made", columns: ["", "value"], rows: rows
      ).html()
    } else {
      body += absence(.environment, otherwise: "The run has no environment.json.")
    }
    return Section(identifier: "environment", title: "Environment", body: body)
  }

  private func add(_ member: JSON.Member, prefix: String, to rows: inout [[HTML]]) {
    let name = prefix + member.name.split(separator: "_").joined(separator: " ")
    if let members = member.value.members {
      for inner in members { add(inner, prefix: name + ", ", to: &rows) }
      return
    }
    rows.append(["\(name)", "\(text(member.value))"])
  }

  /// A plain value; of a list each entry once, with how often it is there.
  private func text(_ value: JSON) -> String {
    switch value {
    case .null: return "–"
    case .boolean(let value): return value ? "yes" : "no"
    case .integer(let value): return FigureText.count(value)
    case .number(let value): return FigureText.short(value)
    case .text(let value): return value
    case .array(let values):
      var counts: [(name: String, count: Int)] = []
      for name in values.map(text) {
        if let place = counts.firstIndex(where: { $0.name == name }) {
          counts[place].count += 1
        } else {
          counts.append((name, 1))
        }
      }
      return counts.map { $0.count == 1 ? $0.name : "\($0.name) (\($0.count)×)" }
        .joined(separator: ", ")
    case .object: return ""
    }
  }
}
