import ForgeryMining
import Foundation
import Images

extension ReportPage {
  /// The representative forgery of each method, over the mean of the faces it was taken from.
  func prototypes() throws -> Section {
    var body = HTML.nothing
    if let gallery = contents.evaluation?.prototypes, !gallery.prototypes.methods.isEmpty {
      let prototypes = gallery.prototypes
      body += remark(.prototypes)
      body += """
        <p>The mean Forgery Attention Map of the fakes of each method\(gallery.meanFaces == nil
          ? "" : ", over the mean of the same faces"): what the detector takes for that \
        method's trace. Prototypes \(gallery.origin).</p>

        """
      body += ScaleBar.html(
        .ember, low: "lowest", high: "highest of each map", identifier: "ramp-ember")
      let contrasts = self.contrasts(prototypes)
      if contrasts != nil {
        body += ScaleBar.html(
          .balance, low: "less than", high: "more than the methods' mean",
          identifier: "ramp-balance")
      }
      var cards: [HTML] = []
      for (index, method) in prototypes.methods.enumerated() {
        cards.append(
          try card(gallery, index, method: method, contrast: contrasts?[index]))
      }
      body += "<div class=\"gallery\">\(cards)</div>\n"
    } else {
      body += absence(.prototypes, ofImages: "There are no prototypes.")
    }
    return Section(identifier: "prototypes", title: "Prototypes", body: body)
  }

  private func card(
    _ gallery: PrototypeGallery, _ index: Int, method: String, contrast: RGBImage?
  ) throws -> HTML {
    let prototypes = gallery.prototypes
    let (height, width) = (prototypes.height, prototypes.width)
    let map = Array(prototypes.map(index))
    var pictures: [HTML] = []
    func add(_ image: RGBImage, _ label: String, _ text: String) throws {
      pictures.append(
        """
        <div>\(try Picture.html(image, text: text, isSmooth: true))<span>\(label)</span></div>

        """)
    }
    if let face = gallery.meanFaces?.image(method),
      let faces = gallery.meanFaces
    {
      let mean = enlarged(
        RGBImage(width: faces.width, height: faces.height, pixels: Array(face)))
      try add(
        Heatmap.overlay(map, width: width, height: height, on: mean), "prototype",
        "Prototype of \(method) as a heatmap over its mean face")
      try add(mean, "mean face", "Mean of the faces made by \(method)")
    } else {
      try add(
        PrototypePictures.render(map, width: width, height: height), "prototype",
        "Prototype of \(method) as a heatmap")
    }
    if let contrast {
      try add(
        contrast, "against the others",
        "Where the prototype of \(method) is above and below the mean of all prototypes")
    }
    let range = Heatmap.range(of: map)
    return """
      <figure class="prototype"><figcaption><h3>\(HTML.name(method))</h3><p>mean of \
      \(FigureText.count(Int(prototypes.counts[index]), "image")), values \
      \(FigureText.ratio(Double(range.lowerBound))) to \
      \(FigureText.ratio(Double(range.upperBound)))</p></figcaption>
      <div class="pictures">\(pictures)</div></figure>

      """
  }

  /// Each prototype less the mean of all, on one scale about zero; nil for a single method.
  private func contrasts(_ prototypes: Prototypes) -> [RGBImage]? {
    let methods = prototypes.methods.count
    guard methods > 1 else { return nil }
    let size = prototypes.height * prototypes.width
    var mean = [Float](repeating: 0, count: size)
    for index in prototypes.maps.indices {
      mean[index % size] += prototypes.maps[index] / Float(methods)
    }
    let differences = (0..<methods).map { method in
      zip(prototypes.map(method), mean).map { $0 - $1 }
    }
    let extreme = differences.joined().reduce(Float.leastNonzeroMagnitude) { max($0, abs($1)) }
    let (width, height) = (prototypes.width, prototypes.height)
    return differences.map { map in
      let factor = Self.enlargement(width, height)
      return Heatmap.render(
        Heatmap.resized(
          map, width: width, height: height, toWidth: width * factor, height: height * factor),
        width: width * factor, height: height * factor, colors: .balance,
        range: -extreme...extreme)
    }
  }

  /// How often as large a small picture is drawn, so that it is smooth on the page.
  private static func enlargement(_ width: Int, _ height: Int) -> Int {
    max(1, Picture.largestSide / max(width, height))
  }

  private func enlarged(_ image: RGBImage) -> RGBImage {
    let factor = Self.enlargement(image.width, image.height)
    return ImageResize.bilinear(
      image, width: image.width * factor, height: image.height * factor)
  }
}
