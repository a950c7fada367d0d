import Foundation

extension ReportPage {
  /// Loss, validation, learning rate and throughput over the steps.
  func training() -> Section {
    var body = HTML.nothing
    let record = contents.record
    if record.steps.isEmpty && record.validations.isEmpty {
      body += absence(.training, otherwise: "No training step was recorded.")
    } else {
      body += remark(.training)
      let large = [lossPlot, qualityPlot].compactMap { $0 }
      var small = [lowRatePlot, learningRatePlot, throughputPlot].compactMap { $0 }
      let isFull = large.count == 2 && small.count == 3
      if isFull {
        // Two above three.
        for index in small.indices {
          small[index].width = 340
          small[index].height = 260
          small[index].isSmall = true
        }
      }
      body += """
        <div class="charts\(isFull ? " full" : "")">\((large + small).map { $0.figure() })</div>

        """
      if record.validations.isEmpty {
        body += absence(
          .validation, otherwise: "The training was not evaluated on validation data.")
      } else {
        body += validationTable
      }
    }
    return Section(identifier: "training", title: "Training", body: body)
  }

  private var steps: Axis {
    let record = contents.record
    return .linear(
      over: record.steps + record.validations.map(\.step), isTight: true, whole: true)
  }

  private var lossPlot: Plot? {
    let record = contents.record
    let curve = record.lossCurve
    let window = curve.smoothingWindow
    let validation = record.validationCurve("loss")
    guard !curve.values.isEmpty || !validation.values.isEmpty || record.stepsWithoutLoss > 0
    else { return nil }
    var series: [Series] = []
    if window > 1 {
      series = [
        Series(name: "each step", curve: curve.thinned(), style: .faint, color: 0),
        Series(
          name: "mean of \(window) steps", curve: curve.smoothed(window: window).thinned(to: 600),
          color: 0, isStrong: true),
      ]
    } else if !curve.points.isEmpty {
      series = [Series(name: "training", curve: curve, style: .marked, color: 0)]
    }
    if !validation.values.isEmpty {
      series.append(
        Series(
          name: "validation", curve: validation.thinned(),
          style: validation.points.count <= 60 ? .marked : .line, color: 1))
    }
    var note: HTML?
    if record.stepsWithoutLoss > 0 {
      note =
        """
        \(FigureText.count(record.stepsWithoutLoss, "step")) had a loss that is not a number: \
        there the line has a gap.
        """
    } else if let flooding = contents.configuration?.training.flooding, flooding > 0 {
      note = "Cross-entropy before flooding at \(FigureText.short(flooding))."
    }
    return Plot(
      identifier: "plot-loss", title: "Loss", x: steps,
      y: lossAxis(curve.values + validation.values), xTitle: "step", yTitle: "cross-entropy (nats)",
      series: series, note: note)
  }

  /// From zero; by powers of ten where a few values dwarf the others.
  private func lossAxis(_ values: [Double]) -> Axis {
    let sorted = values.sorted()
    guard let high = sorted.last, let low = sorted.first, low > 0,
      high > 50 * sorted[sorted.count / 2]
    else { return .linear(over: values, includingZero: true) }
    let from = Int(log10(low).rounded(.down))
    return .decades(
      from: max(from, -12),
      to: max(from, -12) + max(1, Int(log10(high).rounded(.up)) - max(from, -12)))
  }

  private func validationPlot(
    _ identifier: String, _ title: String, _ figures: [(name: String, key: String)],
    note: HTML? = nil
  ) -> Plot? {
    let record = contents.record
    var series: [Series] = []
    for (index, figure) in figures.enumerated() {
      let curve = record.validationCurve(figure.key)
      guard !curve.values.isEmpty else { continue }
      // One line would hide the other.
      if let same = series.firstIndex(where: { $0.curve == curve.thinned() }) {
        series[same].name += ", \(figure.name.split(separator: " ").last!)"
        continue
      }
      series.append(
        Series(
          name: figure.name, curve: curve.thinned(),
          style: curve.points.count <= 60 ? .marked : .line, color: index, isStrong: index == 0))
    }
    guard !series.isEmpty else { return nil }
    let values = series.flatMap(\.curve.values)
    // Rates below one half are as likely as those above.
    let low = values.min() ?? 0
    let y = Axis.linear(over: low >= 0.5 ? [0.5, 1] : [0, 1])
    return Plot(
      identifier: identifier, title: title, x: steps, y: y, xTitle: "step", yTitle: "rate",
      series: series, note: note)
  }

  private var qualityPlot: Plot? {
    validationPlot(
      "plot-validation", "Validation",
      [("AUC", "auc"), ("AP", "ap"), ("accuracy", "accuracy")],
      note: "Accuracy at probability one half.")
  }

  private var lowRatePlot: Plot? {
    validationPlot(
      "plot-low-rates", "Validation at few false alarms",
      [
        ("TPR at FPR 1e-2", "tpr_at_fpr_1e-2"), ("TPR at FPR 1e-3", "tpr_at_fpr_1e-3"),
        ("TPR at FPR 1e-4", "tpr_at_fpr_1e-4"), ("EER", "eer"),
      ])
  }

  private var learningRatePlot: Plot? {
    let curve = contents.record.learningRateCurve
    guard !curve.values.isEmpty else { return nil }
    return Plot(
      identifier: "plot-learning-rate", title: "Learning rate", x: steps,
      y: .linear(over: curve.values, includingZero: true), xTitle: "step", yTitle: "learning rate",
      series: [Series(name: "learning rate", curve: curve.thinned(to: 600), color: 0)])
  }

  private var throughputPlot: Plot? {
    let curve = contents.record.throughputCurve
    guard !curve.values.isEmpty else { return nil }
    let window = curve.smoothingWindow
    var series = [
      Series(
        name: "each step", curve: curve.thinned(to: 600), style: window > 1 ? .faint : .line,
        color: 2)
    ]
    if window > 1 {
      series.append(
        Series(
          name: "mean of \(window) steps", curve: curve.smoothed(window: window).thinned(to: 400),
          color: 2, isStrong: true))
    }
    return Plot(
      identifier: "plot-throughput", title: "Throughput", x: steps,
      y: .linear(over: curve.values, includingZero: true), xTitle: "step",
      yTitle: "images per second", series: series)
  }

  /// The evaluations in figures, the last two hundred of them at most.
  private var validationTable: HTML {
    let columns = [
      ("loss", "loss"), ("AUC", "auc"), ("AP", "ap"), ("accuracy", "accuracy"), ("EER", "eer"),
      ("TPR at 1e-2", "tpr_at_fpr_1e-2"), ("1e-3", "tpr_at_fpr_1e-3"), ("1e-4", "tpr_at_fpr_1e-4"),
    ]
    let all = contents.record.validations
    let shown = all.suffix(200)
    let rows: [[HTML]] = shown.map { validation in
      ["\(FigureText.count(Int(validation.step)))"]
        + columns.map { "\(FigureText.rate(validation.figures[$0.1]))" }
    }
    let table = FigureTable(
      caption: shown.count < all.count
        ? "The last \(shown.count) of \(all.count) evaluations" : "Evaluations on validation data",
      columns: ["step"] + columns.map { "\($0.0)" }, rows: rows)
    return "<details><summary>Validation in figures</summary>\n\(table.html())</details>\n"
  }
}
