import Evaluation
import ForgeryMining
import Foundation

extension ReportPage {
  /// How well the maps agree with the masks.
  func localisation() -> Section {
    var body = HTML.nothing
    let kinds = AttentionKind.allCases.compactMap { kind in
      contents.evaluation?.localisation[kind].map { (kind, $0) }
    }
    if let evaluation = contents.evaluation, !kinds.isEmpty {
      let images = kinds[0].1.overall.images
      body += remark(.localisation)
      body += """
        <p>Where the detector looks, against the masks of what was forged in \
        \(FigureText.count(images, "fake image")). The chance level of pointing and energy is the \
        forged share of the image, that of the ratio is 1. Maps that are nowhere positive don't \
        count.</p>

        """
      for (kind, localisation) in kinds {
        body += table(kind, localisation, methods: evaluation.methods)
      }
    } else {
      body += absence(
        .localisation, ofImages: "The images have no masks, so this can't be measured.")
    }
    return Section(identifier: "localisation", title: "Localisation", body: body)
  }

  private func table(
    _ kind: AttentionKind, _ localisation: EvaluationJob.Localisation, methods: [String]
  ) -> HTML {
    func row(_ name: HTML, _ summary: LocalisationSummary) -> [HTML] {
      [
        name, "\(FigureText.count(summary.images))", "\(FigureText.percent(summary.areaShare))",
        "\(FigureText.percent(summary.pointingAccuracy))",
        "\(FigureText.percent(summary.energyShare))",
        "\(FigureText.ratio(summary.insideOutsideRatio))",
        "\(FigureText.ratio(summary.intersectionOverUnion))",
      ]
    }
    var rows = [row("all methods", localisation.overall)]
    for name in methods {
      if let summary = localisation.methods[name] { rows.append(row(HTML.name(name), summary)) }
    }
    let name: HTML =
      switch kind {
      case .fam: "Forgery Attention Map (FAM)"
      case .cam: "Class activation map (CAM), fake minus real"
      }
    return FigureTable(
      caption: name,
      columns: [
        "method", "images", "forged share", "pointing game", "energy inside",
        "inside / outside", "IoU at equal area",
      ], rows: rows, leading: 1
    ).html()
  }
}
