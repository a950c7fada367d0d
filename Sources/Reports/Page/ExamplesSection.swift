import Foundation
import Images

extension ReportPage {
  /// Single images with what the detector sees in them.
  func examples() throws -> Section {
    var body = HTML.nothing
    let examples = contents.evaluation?.examples ?? []
    if examples.isEmpty {
      body += absence(.examples, ofImages: "There are no images to show.")
    } else {
      body += """
        <p>Of real images and of each method the one with the middle probability, and the gravest \
        mistakes.</p>

        """
      body += ScaleBar.html(
        .ember, low: "lowest", high: "highest of each map", identifier: "ramp-examples")
      body += "<div class=\"examples\">\(try examples.map(card))</div>\n"
    }
    return Section(identifier: "examples", title: "Examples", body: body)
  }

  private func card(_ example: Example) throws -> HTML {
    let subject = "\(example.method == "real" ? "real image" : "fake by \(example.method)")"
    let all: [(RGBImage?, String, String)] = [
      (example.image, "image", "The \(subject)"),
      (example.attention, "FAM", "Forgery Attention Map over it"),
      (example.activation, "CAM", "Class activation map over it"),
      (example.erased, "erased", "What SFE leaves of it"),
    ]
    let pictures = try all.compactMap { image, label, text -> HTML? in
      guard let image else { return nil }
      return "<div>\(try Picture.html(image, text: text))<span>\(label)</span></div>\n"
    }
    let tag: HTML =
      example.reason == .typical ? "" : "<span class=\"tag\">\(example.reason.rawValue)</span>"
    var verdict: HTML =
      "fake with probability <strong>\(FigureText.rate(example.probability))</strong>"
    if let attributed = example.attributed {
      verdict += """
        ; most like \(HTML.name(attributed.method)) (\(FigureText.ratio(attributed.similarity)))
        """
    }
    return """
      <figure class="example"><figcaption><h3>\(HTML.name(example.method))\(tag)</h3>\
      <p>\(verdict)</p><p class="source">\(HTML.name(example.name))</p></figcaption>
      <div class="pictures">\(pictures)</div></figure>

      """
  }
}
