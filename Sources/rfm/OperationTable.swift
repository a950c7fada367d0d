import Benchmarking
import Foundations

/// What `rfm benchmark --operations` prints: what kinds of operations take, then the slowest operations.
enum OperationTable {
  private static let slowest = 25

  static func text(_ report: OperationBenchmark.Report) -> String {
    let total = report.passSeconds.values.reduce(0, +)
    let measured = report.rows.reduce(0) { $0 + $1.seconds }
    let limit = report.rows.reduce(0) { $0 + $1.limitSeconds }
    let passes = report.passSeconds.sorted { $0.key < $1.key }
      .map { "\($0.key) \(fixed($0.value * 1e3, 1)) ms" }.joined(separator: ", ")
    var lines = [
      "\(report.model) at \(report.crop), batch \(report.batch), \(report.threads) threads, "
        + "\(report.precision), \(report.kernels)"
        + (report.bfloat16Multiply.map { ", multiplied as \($0)" } ?? ""),
      "limits: \(fixed(report.arithmeticLimit / 1e9, 1)) Gflop/s, "
        + "\(fixed(report.memoryLimit / 1e9, 1)) GB/s",
      "\(passes); in operations \(fixed(measured * 1e3, 1)) ms, at their limits "
        + "\(fixed(limit * 1e3, 1)) ms: \(fixed(100 * limit / total, 1)) % of the time",
      "a: bound by arithmetic, m: by memory; above 100 % a cache has helped",
      "", row("pass", ["ms", "% of all", "Gflop/s", "GB/s", "% of limit"], "kind"),
    ]
    lines += report.byKind.filter { $0.seconds > 0 }.map { line($0, $0.kind, of: total) }
    lines += ["", "the slowest operations"]
    lines += report.rows.filter { $0.seconds > 0 }.sorted { $0.seconds > $1.seconds }
      .prefix(slowest).map { operation in
        let size = operation.output.map(String.init).joined(separator: "×")
        return line(operation, "\(operation.kind), \(operation.layer), \(size)", of: total)
      }
    return lines.joined(separator: "\n")
  }

  private static func line(_ row: OperationBenchmark.Row, _ what: String, of total: Double)
    -> String
  {
    self.row(
      "\(row.pass.rawValue) \(row.isBackward ? "back" : "forward")",
      [
        fixed(row.seconds * 1e3, 2), fixed(100 * row.seconds / total, 1),
        fixed(row.flops / row.seconds / 1e9, 1), fixed(row.bytes / row.seconds / 1e9, 1),
        "\(fixed(100 * row.share, 0)) \(row.bound.rawValue.prefix(1))",
      ], what)
  }

  private static func row(_ pass: String, _ cells: [String], _ what: String) -> String {
    pass.padding(toLength: 18, withPad: " ", startingAt: 0)
      + cells.map { String(repeating: " ", count: max(0, 11 - $0.count)) + $0 }.joined()
      + "  " + what
  }
}
