import Comparison
import Evaluation
import ForgeryMining
import Foundations

/// The tables of a comparison in Markdown: `comparison.md`.
///
/// Columns are padded, so that they can be read as plain text too.
public enum ComparisonTable {
  /// Writes `comparison.md` into `folder`.
  /// - Returns: what was written.
  /// - Throws: `FileError`.
  @discardableResult
  public static func write(_ comparison: Comparison, to folder: String) throws -> String {
    let text = markdown(comparison)
    try DurableFile.write(text, to: "\(folder)/comparison.md")
    return text
  }

  public static func markdown(_ comparison: Comparison) -> String {
    var sections = [introduction(comparison)]
    if hasNetworks(comparison) { sections.append(networks(comparison)) }
    sections.append(detection(comparison))
    if comparison.rows.contains(where: { $0.table == .robustness }) {
      sections.append(robustness(comparison))
    }
    if comparison.rows.contains(where: { $0.table == .localisation }) {
      sections.append(localisation(comparison))
    }
    if !comparison.leftOut.isEmpty { sections.append(leftOut(comparison)) }
    if let section = differences(comparison) { sections.append(section) }
    if let section = tests(comparison) { sections.append(section) }
    return sections.joined(separator: "\n\n") + "\n"
  }

  /// Several networks: every table has a column of their names then.
  private static func hasNetworks(_ comparison: Comparison) -> Bool {
    (comparison.models?.count ?? 0) > 1
  }

  // MARK: Sections

  private static func introduction(_ comparison: Comparison) -> String {
    let setting = comparison.setting
    let test = comparison.variants[0].metrics.overall
    let seeds = comparison.seeds.map(String.init).joined(separator: ", ")
    let spread =
      comparison.seeds.count > 1
      ? "Figures are mean ± sample standard deviation over n = \(comparison.seeds.count) seeds "
        + "(\(seeds))."
      : "There is one seed (\(seeds)), so nothing can be said about how much figures vary."
    let names = comparison.methods.map { name in
      "`\(name)`" + (ErasingMethodName(rawValue: name).map { " \($0.method.summary)" } ?? "")
    }.joined(separator: ", ")
    let subject = hasNetworks(comparison) ? "networks and " : ""
    let model = setting.model.replacing(",", with: ", ")
    return """
      # Comparison of \(subject)augmentation methods

      \(model) at \(setting.crop) pixels, \(setting.steps) updates of \
      \(setting.globalBatch) images, each image erased with probability \(setting.probability); the \
      weights after the last update. \(spread) The same seed begins from the same weights\
      \(hasNetworks(comparison) ? " of a network" : "") and sees the same images in the same order.

      Methods, by what they erase: \(names).

      Test data: \(test.real) real and \(test.fake) fake images. A false positive rate below \
      1/\(test.real) allows no false positive at all, so the TPR at such a rate is the one without \
      any.
      """
  }

  /// Network by method, at a glance.
  private static func networks(_ comparison: Comparison) -> String {
    var cells: [[String]] = []
    for figure in ["auc", "eer"] {
      for model in comparison.models ?? [] {
        let row = comparison.rows.first {
          $0.table == .detection && $0.row == "all" && $0.method == nil && $0.model == model
            && $0.figure == figure
        }
        guard let row else { continue }
        cells.append(
          [cells.last?[0] == title(figure) ? "" : title(figure), model]
            + comparison.methods.map { spread(row.spreads[$0]) })
      }
    }
    return """
      ## Networks

      On all test images; all networks have the same budget of updates, not of arithmetic.


      """ + MarkdownTable.grid(["figure", "network"] + comparison.methods, cells)
  }

  private static func detection(_ comparison: Comparison) -> String {
    let rows = comparison.rows.filter { $0.table == .detection }
    let intervals =
      comparison.rows.contains { $0.intervals?.isEmpty == false }
      ? " In brackets where the mean lies with 95 % confidence on other test sources (bootstrap over "
        + "sources)." : ""
    return "## Detection\n\nEER: lower is better; all others: higher.\(intervals)\n\n"
      + table(rows, comparison, heading: "images") { $0 == "all" ? "all" : $0 }
  }

  private static func robustness(_ comparison: Comparison) -> String {
    let shown = ["auc", "eer", "tpr_at_fpr_1e-2"]
    let rows = comparison.rows.filter {
      shown.contains($0.figure)
        && ($0.table == .robustness || $0.table == .detection && $0.method == nil)
    }
    return """
      ## Robustness

      Test images degraded before they are cropped: JPEG quality, Gaussian blur and Gaussian noise \
      (sigma in pixels and in grey levels), resizing to a share of the sides and back. The detectors \
      were not trained for it. All figures are in comparison.json.


      """ + table(rows, comparison, heading: "images") { $0 == "all" ? "as they are" : $0 }
  }

  private static func localisation(_ comparison: Comparison) -> String {
    let rows = comparison.rows.filter { $0.table == .localisation }
    return """
      ## Localisation

      How the Forgery Attention Map (fam) and the class activation map (cam) agree with the masks of \
      fake images. A map without any relation to the mask reaches the forged share of the area in the \
      pointing game and in energy. Energy inside is the share of the map's sum that falls inside the \
      mask; IoU is that of the mask with as many highest pixels. Attention that spreads over more \
      traces than one may well be lower here.


      """ + table(rows, comparison, heading: "map") { $0 }
  }

  private static func leftOut(_ comparison: Comparison) -> String {
    var lines: [(cells: [String], row: ComparisonRow)] = []
    for model in models(comparison) {
      for method in comparison.leftOut {
        for figure in ["auc", "eer", "tpr_at_fpr_1e-2"] {
          for (table, words) in [
            (ComparisonRow.Table.detection, "seen"), (.leftOut, "never seen"),
          ] {
            guard
              let row = comparison.rows.first(where: {
                $0.table == table && $0.method == method && $0.figure == figure
                  && $0.model == model
              })
            else { continue }
            lines.append(
              (network(row, comparison) + [printable(method), title(figure), words], row))
          }
        }
      }
    }
    return """
      ## Left out

      Trained without one manipulation method and tested on it, against all real images; beside it \
      the detectors that saw it in training.


      """
        + MarkdownTable.grid(
          networkHeading(comparison) + ["method", "figure", "in training"] + comparison.methods,
          lines.map { line in
            line.cells + comparison.methods.map { spread(line.row.spreads[$0]) }
          })
  }

  private static func differences(_ comparison: Comparison) -> String? {
    let reference = Comparison.reference
    let others = comparison.methods.filter { $0 != reference }
    guard comparison.methods.contains(reference), !others.isEmpty else { return nil }
    let rows = comparison.rows.filter {
      switch $0.table {
      case .detection: $0.method == nil
      case .robustness, .leftOut: $0.figure == "auc"
      case .localisation: $0.method == nil && $0.figure != "area_share"
      }
    }
    let cells = rows.map { row in
      network(row, comparison) + [name(row), title(row.figure)]
        + others.map { difference(row.differences[$0]) }
    }
    let n = comparison.seeds.count
    var text = """
      ## SFE less the others, paired by seed

      Mean of the differences ± their sample standard deviation, and at how many of the \(n) seeds \
      SFE is higher. A star marks differences whose 95 % interval (Student's t, \(n - 1) degrees of \
      freedom) leaves 0 out. Among so many cells a few stars are to be expected by chance alone.


      """
    if n == 1 {
      text = """
        ## SFE less the others

        One seed: differences may well be chance.


        """
    }
    text += MarkdownTable.grid(
      networkHeading(comparison) + ["condition", "figure"] + others.map { "sfe − \($0)" }, cells)
    let verdicts = verdicts(comparison, others)
    return verdicts.isEmpty ? text : text + "\n\n" + verdicts.joined(separator: "\n")
  }

  /// Seed by seed, whether the detectors differ on these test images.
  private static func tests(_ comparison: Comparison) -> String? {
    guard let tests = comparison.tests, !tests.isEmpty else { return nil }
    let cells = models(comparison).flatMap { model in
      comparison.seeds.map { seed in
        (hasNetworks(comparison) ? [model ?? ""] : []) + ["\(seed)"]
          + comparison.methods.filter { $0 != Comparison.reference }.map { method in
            let test = tests.first { $0.model == model && $0.seed == seed && $0.method == method }
            return test.map(Self.test) ?? "-"
          }
      }
    }
    return """
      ## Detector against detector

      AUC of SFE less that of each other method, on all test images, for the detectors of each seed: \
      difference, 95 % interval over test sources and p (DeLong's test, with sources as Obuchowski 1997 \
      has them). It speaks of these trained detectors; of the methods, the seeds above do.


      """
        + MarkdownTable.grid(
          networkHeading(comparison) + ["seed"]
            + comparison.methods.filter { $0 != Comparison.reference }.map { "sfe − \($0)" }, cells)
  }

  private static func test(_ test: DetectorTest) -> String {
    guard let interval = test.interval, let p = test.pValue else { return signed(test.difference) }
    return "\(signed(test.difference)) [\(signed(interval.low)), \(signed(interval.high))], "
      + (p < 0.0001 ? "p < 0.0001" : "p = \(fixed(p, 4))")
  }

  /// In words, what the AUC on all test images and the attention say.
  private static func verdicts(_ comparison: Comparison, _ others: [String]) -> [String] {
    var lines: [String] = []
    for (table, name, figure, words) in [
      (ComparisonRow.Table.detection, "all", "auc", "AUC"),
      (.localisation, "fam", "energy_share", "the share of FAM inside the forged region"),
    ] {
      for model in models(comparison) {
        guard
          let row = comparison.rows.first(where: {
            $0.table == table && $0.row == name && $0.method == nil && $0.figure == figure
              && $0.model == model
          })
        else { continue }
        for other in others {
          guard let difference = row.differences[other] else { continue }
          let place = network(row, comparison).map { "\($0): " }.joined()
          lines.append("- " + place + verdict(difference, of: words, against: other))
        }
      }
    }
    return lines
  }

  static func verdict(
    _ difference: PairedDifference, of words: String, against other: String
  ) -> String {
    let mean = difference.spread.mean
    let seeds = difference.spread.n
    guard mean != 0 else { return "SFE and `\(other)`: \(words) is the same on average." }
    let isHigher = mean > 0
    let times = isHigher ? difference.higher : difference.lower
    var text =
      "SFE against `\(other)`: \(words) is \(isHigher ? "higher" : "lower") by "
      + "\(fixed(mean.magnitude, 4)) on average, at \(times) of \(seeds) "
      + (seeds == 1 ? "seed" : "seeds")
    if let interval = difference.interval {
      text += "; 95 % interval \(signed(interval[0])) to \(signed(interval[1]))"
      text +=
        difference.isClear
        ? "." : ", which holds 0: with \(seeds) seeds this can't be told from chance."
    } else {
      text += "; one seed says nothing about chance."
    }
    return text
  }

  // MARK: Cells

  /// The networks of rows; nil is that of a comparison that is not over networks.
  private static func models(_ comparison: Comparison) -> [String?] {
    comparison.models.map { $0.map { Optional($0) } } ?? [nil]
  }

  /// The column of networks, where there are several.
  private static func networkHeading(_ comparison: Comparison) -> [String] {
    hasNetworks(comparison) ? ["network"] : []
  }

  private static func network(_ row: ComparisonRow, _ comparison: Comparison) -> [String] {
    hasNetworks(comparison) ? [row.model ?? ""] : []
  }

  /// Rows of one table: its own first column is empty where it repeats the one above.
  private static func table(
    _ rows: [ComparisonRow], _ comparison: Comparison, heading: String,
    name: (String) -> String
  ) -> String {
    var last: ComparisonRow?
    let cells = rows.map { row in
      defer { last = row }
      let isOfNetwork = row.model == last?.model
      let isRepeated = isOfNetwork && row.row == last?.row && row.method == last?.method
      let network = isOfNetwork && last != nil ? networkHeading(comparison).map { _ in "" } : nil
      return (network ?? Self.network(row, comparison))
        + [isRepeated ? "" : printable(name(row.row)), title(row.figure)]
        + comparison.methods.map { spread(row.spreads[$0], row.intervals?[$0]) }
    }
    return MarkdownTable.grid(
      networkHeading(comparison) + [heading, "figure"] + comparison.methods, cells)
  }

  private static func name(_ row: ComparisonRow) -> String {
    switch row.table {
    case .detection: "all"
    case .robustness, .localisation: row.row
    case .leftOut: "\(printable(row.row)) never seen"
    }
  }

  static func title(_ figure: String) -> String {
    switch figure {
    case "auc", "ap", "eer": figure.uppercased()
    case "area_share": "forged area"
    case "pointing_accuracy": "pointing game"
    case "energy_share": "energy inside"
    case "intersection_over_union": "IoU"
    default: figure.replacing("tpr_at_fpr_", with: "TPR at FPR ")
    }
  }

  /// - Parameter interval: of the mean, over test sources.
  static func spread(_ spread: MeanAndDeviation?, _ interval: Interval? = nil) -> String {
    guard let spread else { return "-" }
    let mean = fixed(spread.mean, 4)
    return (spread.standardDeviation.map { "\(mean) ± \(fixed($0, 4))" } ?? mean)
      + (interval.map { " [\(fixed($0.low, 4)), \(fixed($0.high, 4))]" } ?? "")
  }

  static func difference(_ difference: PairedDifference?) -> String {
    guard let difference else { return "-" }
    let spread = difference.spread
    guard let deviation = spread.standardDeviation else { return signed(spread.mean) }
    return "\(signed(spread.mean)) ± \(fixed(deviation, 4)) (\(difference.higher)/\(spread.n))"
      + (difference.isClear ? " *" : "")
  }

  private static func signed(_ value: Double) -> String {
    let text = fixed(value.magnitude, 4)
    return (value < 0 ? "−" : "+") + text
  }
}
