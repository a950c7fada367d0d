/// An explained image on a page: verdict, likeliest method, cosines, pictures.
struct ExplanationCard {
  private let explanation: Explanation
  private let number: Int
  private let subject: ExplanationPage.Subject

  /// - Parameters:
  ///   - number: from 1, among all images that are explained.
  ///   - subject: its prototypes are in the order of the explanation's similarities.
  init(_ explanation: Explanation, number: Int, subject: ExplanationPage.Subject) {
    self.explanation = explanation
    self.number = number
    self.subject = subject
  }

  var html: HTML {
    let tag: HTML =
      explanation.isFake
      ? "<span class=\"tag\">fake</span>" : "<span class=\"tag calm\">real</span>"
    var verdict: HTML =
      "probability of fake <strong>\(FigureText.rate(explanation.probability))</strong>"
    var cosines = HTML.nothing
    if let attributed = explanation.attributed {
      let best = attributed.similarities[attributed.best]
      verdict += """
        ; most like \(HTML.name(best.method)), cosine <strong>\(FigureText.ratio(best.cosine))\
        </strong>
        """
      if !attributed.isKnown {
        verdict += ": below \(FigureText.ratio(attributed.threshold)), perhaps an unknown method"
      }
      let items: [HTML] = attributed.similarities.enumerated().map { place, similarity in
        let kind: HTML = place == attributed.best ? " class=\"best\"" : ""
        return """
          <li\(kind)>\(HTML.name(similarity.method)) <b>\(FigureText.ratio(similarity.cosine))</b>\
          </li>
          """
      }
      cosines = "<ul class=\"cosines\" aria-label=\"Cosines with the prototypes\">\(items)</ul>"
    }
    return """
      <figure class="explained" id="image-\(number)"><figcaption>\
      <h3>\(HTML.name(explanation.path))\(tag)</h3><p>\(verdict)</p>\(cosines)</figcaption>
      \(pictures)</figure>

      """
  }

  private var pictures: HTML {
    guard !explanation.pictures.isEmpty else {
      return """
        <p class="note">The pictures were drawn on another host, not into this folder.</p>
        """
    }
    var cells: [HTML] = []
    for (kind, label, text) in [
      (PictureKind.image, "image", "What the detector saw of"),
      (.fam, "FAM", "Forgery Attention Map over"), (.cam, "CAM", "Class activation map over"),
      (.erased, "erased", "What SFE would leave of"),
    ] {
      guard let drawn = explanation.pictures.first(where: { $0.kind == kind }) else { continue }
      let picture = Picture.html(
        file: drawn.file, subject.crop, subject.crop, text: "\(text) \(explanation.path)")
      cells.append("<div>\(picture)<span>\(label)</span></div>\n")
    }
    if let best = explanation.attributed?.best, subject.prototypes.indices.contains(best) {
      let prototype = subject.prototypes[best]
      let picture = prototype.picture(text: "Prototype of \(prototype.method) as a heatmap")
      let label: HTML = "prototype of \(HTML.name(prototype.method))"
      cells.append("<div>\(picture)<span>\(label)</span></div>\n")
    }
    return "<div class=\"pictures\">\(cells)</div>"
  }
}
