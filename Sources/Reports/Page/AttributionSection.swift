import ForgeryMining
import Foundation

extension ReportPage {
  /// Which method is named for which, and how alike the prototypes are.
  func attribution() -> Section {
    var body = HTML.nothing
    if let evaluation = contents.evaluation?.attribution, evaluation.known > 0 {
      let preferred = evaluation.preferred.rawValue
      body += remark(.attribution)
      body += """
        <p>Each of \(FigureText.count(evaluation.known, "fake image")) is attributed to the method \
        whose prototype its map is most like, by the cosine of the maps as they are (plain) and \
        less the mean of the prototypes (centred). \(preferred.capitalized) is used elsewhere on \
        this page.</p>
        <div class="matrices">
        \(confusion(evaluation.plain, "plain"))\(confusion(evaluation.centred, "centred"))</div>
        \(openSet(evaluation))
        """
    } else {
      body += absence(.attribution, ofImages: "Attribution was not measured.")
    }
    if let prototypes = contents.evaluation?.prototypes?.prototypes, prototypes.methods.count > 1 {
      body += """
        <h3>Similarity of the prototypes</h3>
        <div class="matrices">
        \(similarity(prototypes, .plain))\(similarity(prototypes, .centred))</div>

        """
    }
    return Section(identifier: "attribution", title: "Attribution", body: body)
  }

  private func confusion(_ kind: AttributionEvaluation.Kind, _ name: String) -> HTML {
    let matrix = kind.confusion
    let cells = matrix.counts.map { row in
      let images = row.reduce(0, +)
      return row.map { count in
        (text: FigureText.count(count), shade: images == 0 ? nil : Double(count) / Double(images))
      }
    }
    let table = MatrixTable(
      caption: """
        Confusion, \(name): accuracy \(FigureText.rate(matrix.accuracy)), balanced \
        \(FigureText.rate(matrix.balancedAccuracy))
        """,
      rowTitle: "true", columnTitle: "named", names: matrix.methods, cells: cells, colors: .lagoon)
    return """
      <div id="confusion-\(name)">\(table.html())
      \(ScaleBar.html(
        .lagoon, low: "0", high: "all of the row", identifier: "ramp-confusion-\(name)"))</div>

      """
  }

  private func openSet(_ evaluation: AttributionEvaluation) -> HTML {
    let kind = evaluation[evaluation.preferred]
    var sentences: [HTML] = []
    if let rejection = kind.rejection {
      var sentence: HTML = """
        Below a similarity of \(FigureText.ratio(rejection.value)), chosen on validation images, \
        the method is called unknown: that accepts \(FigureText.percent(rejection.acceptedKnown)) \
        of these images.
        """
      if let rejected = rejection.rejectedUnknown {
        sentence += """
           Of \(FigureText.count(evaluation.unknown, "image")) by methods without a prototype it \
          rejects \(FigureText.percent(rejected)).
          """
      }
      sentences.append(sentence)
    }
    if let area = kind.knownAgainstUnknown {
      sentences.append("AUROC of known against unknown methods: \(FigureText.rate(area)).")
    }
    return sentences.isEmpty ? "" : "<p class=\"note\">\(HTML.joined(sentences, by: " "))</p>\n"
  }

  private func similarity(_ prototypes: Prototypes, _ kind: AttributionKind) -> HTML {
    let matrix = prototypes.similarityMatrix(kind)
    let values = matrix.joined()
    // Plain similarities are all high: their scale begins at the lowest.
    let low = kind == .plain ? min(values.min() ?? 0, 0.99) : -1
    let cells = matrix.map { row in
      row.map { (text: FigureText.ratio($0), shade: Optional(($0 - low) / (1 - low))) }
    }
    let colors: ColorMap = kind == .plain ? .lagoon : .balance
    let table = MatrixTable(
      caption: "Cosine of the prototypes, \(kind.rawValue)", rowTitle: "of", columnTitle: "with",
      names: prototypes.methods, cells: cells, colors: colors)
    return """
      <div id="similarity-\(kind.rawValue)">\(table.html())
      \(ScaleBar.html(
        colors, low: FigureText.ratio(low), high: "1",
        identifier: "ramp-similarity-\(kind.rawValue)"))</div>

      """
  }
}
