import Evaluation
import Foundation

extension ReportPage {
  /// ROC curves and the table of methods.
  func detection() -> Section {
    var body = HTML.nothing
    if let evaluation = contents.evaluation {
      body += remark(.detection)
      body += leftOut(evaluation)
      if evaluation.scored < evaluation.images {
        body += """
          <p class="note">Scored were \(FigureText.count(evaluation.scored)) of \
          \(FigureText.count(evaluation.images)) images, evenly chosen.</p>

          """
      }
      if evaluation.curve.points.isEmpty {
        body += """
          <p class="absent">A ROC curve needs real and fake images: there are \
          \(FigureText.count(evaluation.metrics.overall.real)) real and \
          \(FigureText.count(evaluation.metrics.overall.fake)) fake ones.</p>

          """
      } else {
        body += """
          <div class="charts detection">\(rocPlot(evaluation).figure())\
          \(scorePlot(evaluation)?.figure() ?? "")</div>

          """
      }
      body += methodTable(evaluation)
      body += calibration(evaluation)
    } else {
      body += absence(.detection, otherwise: "No images were evaluated.")
    }
    return Section(identifier: "detection", title: "Detection", body: body)
  }

  /// What the detector has never met, though it is among these images.
  func leftOut(_ evaluation: DetectorEvaluation) -> HTML {
    if evaluation.leftOutMethods.isEmpty { return "" }
    let names = HTML.joined(evaluation.leftOutMethods.map(HTML.name), by: ", ")
    return """
      <p class="note">Among these images are some by \(names), which training and validation did \
      without (data.exclude_methods): figures over all methods are not those of the validation.</p>

      """
  }

  private func rocPlot(_ evaluation: DetectorEvaluation) -> Plot {
    let real = max(1, evaluation.metrics.overall.real)
    // One false alarm in so many images is the least that can be seen.
    let least = 1 / Double(real)
    let from = min(-2, Int((log10(least) + 1e-9).rounded(.down)))
    func series(_ name: String, _ curve: ROCCurve, color: Int, isStrong: Bool) -> Series {
      // On a logarithmic axis a curve begins where it has risen to without a false alarm.
      let points = curve.thinned(resolution: isStrong ? 500 : 250).points
      let rise = points.lastIndex { $0.falsePositiveRate == 0 } ?? 0
      return Series(
        name: name,
        curve: Curve(
          points[rise...].map { .init(x: $0.falsePositiveRate, y: $0.truePositiveRate) }),
        style: .steps, color: color,
        remarks: points[rise...].map { $0.threshold.map { "threshold \(exact($0))" } ?? "" },
        isStrong: isStrong)
    }
    var lines = [series("all methods", evaluation.curve, color: 0, isStrong: true)]
    if evaluation.methodCurves.count > 1 {
      for (index, method) in evaluation.methodCurves.enumerated() {
        lines.append(series(method.name, method.curve, color: index + 1, isStrong: false))
      }
    }
    let chance = (0...60).map { index in
      pow(10, Double(from) * (1 - Double(index) / 60))
    }
    lines.append(
      Series(
        name: "chance", curve: Curve(x: chance, y: chance), style: .reference, color: 6,
        isHoverable: false))
    var plot = Plot(
      identifier: "plot-roc", title: "ROC", x: .decades(from: from, to: 0),
      y: .linear(over: [0, 1]), xTitle: "false positive rate (logarithmic)",
      yTitle: "true positive rate", series: lines, hover: .point)
    plot.width = 680
    plot.height = 410
    plot.description = "Receiver operating characteristic with a logarithmic false positive rate."
    if log10(least) > Double(from) + 0.01 {
      plot.band = Plot.Band(
        range: pow(10, Double(from))...least,
        label: "below 1 of \(FigureText.count(real)) real images")
    }
    return plot
  }

  /// How many images of each class got which probability.
  private func scorePlot(_ evaluation: DetectorEvaluation) -> Plot? {
    let classes = [("real", evaluation.scores.real, 0), ("fake", evaluation.scores.fake, 1)]
    let series = classes.compactMap { name, shares, color -> Series? in
      guard !shares.isEmpty else { return nil }
      let width = 1 / Double(shares.count)
      return Series(
        name: name,
        curve: Curve(
          x: shares.indices.map { (Double($0) + 0.5) * width }, y: shares.map { Optional($0) }),
        style: .marked, color: color, isStrong: true)
    }
    guard let bins = series.first?.curve.points.count else { return nil }
    var plot = Plot(
      identifier: "plot-scores", title: "Scores", x: .linear(over: [0, 1]),
      y: .linear(over: [0] + series.flatMap(\.curve.values)), xTitle: "probability of fake",
      yTitle: "share of the class", series: series)
    plot.description = "Shares of the images in \(bins) equal parts of the probabilities."
    plot.width = 340
    plot.height = 380
    plot.isSmall = true
    return plot
  }

  private func methodTable(_ evaluation: DetectorEvaluation) -> HTML {
    let metrics = evaluation.metrics
    let hasIntervals = metrics.overall.intervals?.auc != nil
    func row(_ name: HTML, _ figures: DetectionMetrics) -> [HTML] {
      var cells: [HTML] = [name, "\(FigureText.count(figures.fake))"]
      cells.append("\(FigureText.rate(figures.auc))")
      if hasIntervals { cells.append("\(FigureText.interval(figures.intervals?.auc))") }
      let rest = [figures.averagePrecision, figures.eer] + figures.truePositiveRates
      return cells + (rest + [figures.recall]).map { "\(FigureText.rate($0))" }
    }
    var rows = [row("all methods", metrics.overall)]
    for name in evaluation.methods {
      if let figures = metrics.methods[name] { rows.append(row(HTML.name(name), figures)) }
    }
    if let sources = metrics.sources {
      rows.insert(row("all, by source", sources.overall), at: 1)
    }
    var columns: [HTML] = [
      "method", "fakes", "AUC", "AP", "EER", "TPR at FPR 1e-2", "1e-3", "1e-4", "recall at ½",
    ]
    if hasIntervals { columns.insert("95 % interval", at: 3) }
    let table = FigureTable(
      caption: """
        Each method's fakes against all \(FigureText.count(metrics.overall.real)) real images. \
        Mean cross-entropy \(FigureText.rate(evaluation.loss)), accuracy \
        \(FigureText.rate(metrics.overall.accuracy)), false alarms at probability one half \
        \(FigureText.rate(metrics.overall.falseAlarmRate)).\(intervalNote(evaluation))
        """,
      columns: columns, rows: rows, leading: 1)
    return table.html()
  }
  /// How intervals were made, or why there are none.
  private func intervalNote(_ evaluation: DetectorEvaluation) -> String {
    guard let bootstrap = evaluation.bootstrap else {
      return
        " No intervals: not every image names its source, and frames of one video resemble one "
        + "another."
    }
    guard evaluation.metrics.overall.intervals?.auc != nil else {
      return
        " No intervals: the \(FigureText.count(evaluation.sources, "source")) here say too little."
    }
    return " Intervals are over the \(FigureText.count(evaluation.sources, "source")) here "
      + "(\(FigureText.count(bootstrap.draws)) draws, BCa)."
  }
}
