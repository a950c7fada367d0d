import Configuration
import Evaluation
import ForgeryMining
import Foundations

/// The card of a model: `model-card.md`, for people and, by the YAML at its top, for model hubs
/// (`model-index` as Hugging Face reads it). What nobody measured, it says.
public struct ModelCard: Sendable {
  private let contents: ReportContents

  public init(_ contents: ReportContents) { self.contents = contents }

  /// - Throws: `JSON.NotFinite` for a figure that is no number.
  public func text() throws -> String {
    var sections = ["---\n\(try frontMatter())---", introduction, figures]
    sections += [dataSets, data, preprocessing, training, untested].compactMap(\.self)
    return sections.joined(separator: "\n\n") + "\n"
  }

  // MARK: For hubs

  private func frontMatter() throws -> String {
    var lines = [
      "library_name: rfm", "pipeline_tag: image-classification", "tags:",
      "  - deepfake-detection", "  - face-forgery-detection", "  - representative-forgery-mining",
    ]
    if let model = contents.configuration?.model.form.description {
      lines.append("  - \(try quoted(model))")
    }
    guard contents.evaluation != nil || contents.dataSets != nil else {
      return lines.joined(separator: "\n") + "\n"
    }
    lines += ["metrics:", "  - roc_auc", "  - accuracy", "model-index:"]
    lines += ["  - name: \(try quoted(contents.name))", "    results:"]
    if let evaluation = contents.evaluation {
      lines += try results(on: evaluation.data, evaluation.metrics.overall)
    }
    for set in contents.dataSets?.sets ?? [] {
      lines += try results(on: Self.name(set), set.metrics.overall)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What a hub reads of one data set.
  private func results(on data: String, _ metrics: DetectionMetrics) throws -> [String] {
    var lines = [
      "      - task:", "          type: image-classification",
      "          name: Fake-face detection",
      "        dataset:", "          type: rfm-shard",
      "          name: \(try quoted(data))", "        metrics:",
    ]
    let types: [(DetectionFigure, String)] = [
      (.auc, "roc_auc"), (.averagePrecision, "average_precision"),
      (.accuracy, "accuracy"), (.eer, "equal_error_rate"),
      (.tprAt1e2, "true_positive_rate_at_false_positive_rate_0.01"),
    ]
    for (figure, type) in types {
      guard let value = metrics[figure] else { continue }
      lines += [
        "          - type: \(type)", "            name: \(try quoted(figure.title))",
        "            value: \(try JSON.number(value).line())",
      ]
    }
    return lines
  }

  /// A data set, and what was done to its images first.
  private static func name(_ set: DataSetsFile.Set) -> String {
    ([set.name] + set.degradations).joined(separator: ", ")
  }

  /// Texts are written as JSON has them, which is YAML too, whatever is in them.
  private func quoted(_ text: String) throws -> String { try JSON.text(text).line() }

  // MARK: For people

  /// Text of data's as Markdown shows it, and no more.
  private func plain(_ text: String) -> String {
    var shown = ""
    for scalar in printable(text, limit: .max).unicodeScalars {
      switch scalar {
      case "<": shown += "&lt;"
      case "&": shown += "&amp;"
      case "\\", "`", "*", "_", "[", "]", "#": shown += "\\\(scalar)"
      default: shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }

  private func list(_ patterns: [String]) -> String {
    patterns.map(plain).joined(separator: ", ")
  }

  private var introduction: String {
    var text = "# \(plain(contents.name))\n\nA detector of fake faces"
    if let configuration = contents.configuration {
      text +=
        ": \(configuration.model.form.description), which takes crops of "
        + "\(configuration.data.crop) × \(configuration.data.crop) pixels, trained "
        + configuration.augmentation.method.method.manner
    }
    text += " by rfm (Representative Forgery Mining; Wang and Deng, CVPR 2021)."
    if let checkpoint = contents.checkpoint {
      text += " These are the weights after step \(FigureText.count(checkpoint.step))."
    }
    text += " It gives two logits, real and fake, for a face that was cut out as below.\n\n"
    if let reliability = contents.evaluation?.reliability {
      text +=
        reliability.temperature.map {
          "Its probabilities are calibrated: logits are divided by \(FigureText.short($0)). "
        }
        ?? "Its probabilities are not calibrated: they order images, but 0.9 need not mean nine in ten. "
      text +=
        "On the images below the expected calibration error is \(FigureText.rate(reliability.error))"
      text +=
        contents.evaluation?.isCalibrationData == true
        ? ", and they are those that the temperature was fitted to. " : ". "
    }
    return text + "They hold for a share of fakes as in these data, not for the world's."
  }

  private var figures: String {
    guard let evaluation = contents.evaluation else {
      return "## Figures\n\n" + (contents.missing[.detection].map(plain) ?? "Nothing was measured.")
    }
    let metrics = evaluation.metrics
    let shown = DetectionFigure.allCases
    func row(_ name: String, _ figures: DetectionMetrics) -> [String] {
      [name, "\(figures.real) / \(figures.fake)"]
        + shown.map { MarkdownTable.figure(figures[$0], figures.intervals?[$0]) }
    }
    var rows = [row("all methods", metrics.overall)]
    if let sources = metrics.sources { rows.append(row("all, by source", sources.overall)) }
    for name in evaluation.methods {
      if let figures = metrics.methods[name] { rows.append(row(plain(name), figures)) }
    }
    // A report scores an even part of a large set, methods with few images whole.
    let ofAll =
      evaluation.scored < evaluation.images
      ? ", chosen evenly method by method among \(FigureText.count(evaluation.images))," : ""
    var text =
      "## Figures\n\nOn \(plain(evaluation.data)): \(FigureText.count(evaluation.scored)) images\(ofAll) of "
      + "\(FigureText.count(evaluation.sources, "source")). "
    text +=
      evaluation.bootstrap.map {
        "In brackets 95 % intervals, by \(FigureText.count($0.draws)) draws of sources (BCa); a figure "
          + "without one rests on too few."
      } ?? "There are no intervals, since not every image names its source."
    if isChosenByTheseImages {
      text +=
        " The weights were chosen among checkpoints by their AUC on these very images, so figures on others "
        + "are somewhat lower."
    }
    return text + "\n\n" + MarkdownTable.grid(["fakes", "real / fake"] + shown.map(\.title), rows)
  }

  private var dataSets: String? {
    guard let file = contents.dataSets else { return nil }
    let shown = DetectionFigure.allCases
    var rows: [[String]] = []
    func row(_ set: String, _ kind: String, _ figures: DetectionMetrics) {
      rows.append(
        [set, kind, "\(figures.real) / \(figures.fake)"]
          + shown.map { MarkdownTable.figure(figures[$0], figures.intervals?[$0]) })
    }
    func row(_ kind: String, _ means: DataSetsReport.Means?) {
      guard let means else { return }
      rows.append(
        ["mean of these", kind, ""]
          + shown.map { MarkdownTable.figure(means.figures[$0], means.intervals?[$0]) })
    }
    for set in file.sets {
      let name = plain(Self.name(set))
      row(name, "images", set.metrics.overall)
      for (method, figures) in set.metrics.methods.sorted(by: { $0.key < $1.key }) {
        row(name, "images, " + plain(method), figures)
      }
      if let videos = set.videos {
        row(name, "videos, by mean", videos.mean.overall)
        row(name, "videos, by median", videos.median.overall)
      }
    }
    row("images", file.means?.images)
    row("videos, by mean", file.means?.videosByMean)
    row("videos, by median", file.means?.videosByMedian)
    let intervals =
      file.sets.contains { $0.bootstrap != nil } ? "; in brackets 95 % intervals over sources" : ""
    return
      "## Other data sets\n\nMeasured apart by rfm evaluate, with these weights\(intervals).\n\n"
      + MarkdownTable.grid(["data set", "of", "real / fake"] + shown.map(\.title), rows)
  }

  private var isChosenByTheseImages: Bool {
    guard let validation = contents.configuration?.data.validation else { return false }
    return contents.checkpoint?.role == "best"
      && contents.evaluation?.data == validation.joined(separator: ", ")
  }

  private var data: String {
    guard !contents.splits.isEmpty else { return "## Data\n\nThe run does not tell its data." }
    let rows = contents.splits.map { split -> [String] in
      guard let found = split.contents else {
        return [split.name, "-", "-", "-", list(split.patterns) + " (can't be read from here)"]
      }
      let fakes = found.fakes.sorted { $0.key < $1.key }.map { "\(plain($0.key)) \($0.value)" }
      return [
        split.name, "\(found.real)", fakes.joined(separator: ", "),
        found.sources.map { "\($0)" } ?? "unknown", list(split.patterns),
      ]
    }
    return "## Data\n\n"
      + MarkdownTable.grid(["split", "real", "fake, by method", "sources", "shards"], rows)
  }

  private var preprocessing: String {
    var lines = ["## Preprocessing", ""]
    if let training = contents.splits.first(where: { $0.name == "training" })?.contents {
      lines.append("Faces of \(training.width) × \(training.height) pixels, RGB.")
    }
    if let data = contents.configuration?.data {
      let flipped = data.flip ? ", flipped at random in training" : ""
      lines.append(
        "A crop of \(data.crop) × \(data.crop) pixels, random in training and central otherwise\(flipped); "
          + "pixels of 0 to 1 less \(data.mean), divided by \(data.std).")
    }
    lines.append(
      contents.preprocessing.map { "How faces were found and cut out: \(plain($0))." }
        ?? "Nothing says how faces were found and cut out.")
    return lines.joined(separator: "\n")
  }

  private var training: String {
    guard let configuration = contents.configuration else {
      return "## Training\n\nThe run has no readable config.yaml."
    }
    let (training, erasing) = (configuration.training, configuration.augmentation)
    let optimizer = training.optimizer
    var batch = "- batch: \(training.batchPerRank) images a rank"
    if let ranks = contents.environment?["ranks"]?.integerValue { batch += ", \(ranks) ranks" }
    if training.accumulate > 1 { batch += ", accumulated \(training.accumulate) times" }
    let weights = configuration.model.weights.map(plain) ?? "drawn"
    var lines = [
      "- erased: \(erasing.method.method.summary), with probability \(erasing.probability)", batch,
      "- optimizer: \(optimizer.name.rawValue), learning rate \(optimizer.learningRate), schedule "
        + training.schedule.name.rawValue,
      "- initial weights: \(weights)", "- seed: \(configuration.run.seed)",
    ]
    if let steps = contents.record.steps.last {
      lines.insert("- updates: \(FigureText.count(Int(steps)))", at: 0)
    }
    if configuration.data.selfBlended > 0 {
      lines.append(
        "- fakes made of real faces by blending each with itself: \(configuration.data.selfBlended) of all"
      )
    }
    if !configuration.data.excludeMethods.isEmpty {
      lines.append("- methods left out: \(list(configuration.data.excludeMethods))")
    }
    let others = configuration.chosenDifferences(from: Configuration()).filter {
      !$0.isHarmless && !Self.toldElsewhere.contains($0.key)
    }
    if !others.isEmpty {
      lines.append(
        "- settings that are not the defaults: "
          + others.map { "`\($0.key)` \(plain($0.after))" }.joined(separator: ", "))
    }
    return "## Training\n\n" + lines.joined(separator: "\n")
      + "\n\nAll settings are in the run's config.yaml."
  }

  /// Settings that the card tells in words.
  private static let toldElsewhere: Set = [
    "data.train", "data.crop", "data.flip", "data.mean", "data.std", "data.self_blended",
    "data.exclude_methods", "model.name", "model.weights", "augmentation.method",
    "augmentation.probability",
    "training.batch_per_rank", "training.accumulate", "training.optimizer.name",
    "training.optimizer.learning_rate", "training.schedule.name", "training.steps",
    "training.epochs", "run.seed",
  ]

  private var untested: String {
    var lines: [String] = []
    let others = contents.dataSets?.sets ?? []
    let own = contents.evaluation?.methods ?? []
    let methods = own + Set(others.flatMap(\.metrics.methods.keys)).subtracting(own).sorted()
    if !methods.isEmpty {
      lines.append(
        "- Manipulations other than \(list(methods)): nothing is known of them.")
    }
    if let evaluation = contents.evaluation {
      if !evaluation.leftOutMethods.isEmpty {
        lines.append(
          "- \(list(evaluation.leftOutMethods)) was never seen in training; it is measured above.")
      }
      if let test = contents.splits.first(where: { $0.name == "test" }),
        test.patterns.joined(separator: ", ") != evaluation.data
      {
        lines.append(
          "- The test split (\(list(test.patterns))) is not what the first figures are of.")
      }
    } else if others.isEmpty {
      lines.append("- Everything: nothing was measured.")
    }
    lines += [
      "- Other data sets and cameras than those above (rfm evaluate --data NAME=GLOB).",
      others.contains { !$0.degradations.isEmpty }
        ? "- Images degraded otherwise than above (rfm evaluate --degrade)."
        : "- Compressed, blurred, noisy or resized images (rfm evaluate --degrade).",
      others.contains { $0.videos != nil }
        ? "- Photos with several faces." : "- Whole videos, and photos with several faces.",
      "- Groups of people: the data do not say who is in them, so nothing is known of differences by age, "
        + "sex or skin.",
      "- Somebody who knows the detector and works against it.",
    ]
    return "## Not tested\n\n" + lines.joined(separator: "\n")
  }
}
