import Foundations

/// An explained file on a page: verdicts, likeliest methods, cosines, pictures; of a photo with its faces in
/// boxes, of a video with its course over time.
struct ExplanationCard {
  private let explanation: FileExplanation
  private let number: Int
  private let subject: ExplanationPage.Subject
  private let folder: String

  /// - Parameters:
  ///   - number: from 1, among all files that are explained.
  ///   - subject: its prototypes are in the order of the explanation's similarities.
  ///   - folder: where the page is; what is drawn lies in it.
  init(
    _ explanation: FileExplanation, number: Int, subject: ExplanationPage.Subject, folder: String
  ) {
    self.explanation = explanation
    self.number = number
    self.subject = subject
    self.folder = folder
  }

  var html: HTML {
    if let video = explanation.video { return film(video) }
    guard let face = explanation.faces[0].face else { return image(explanation.faces[0]) }
    return photo(scene: explanation.faces.compactMap { $0.face?.scene }.first, face)
  }

  // MARK: Kinds of files

  private func image(_ said: Explanation) -> HTML {
    """
    <figure class="explained" id="image-\(number)"><figcaption>\
    <h3>\(HTML.name(said.path))\(tag(said.verdict))</h3>\(verdict(said))</figcaption>
    \(pictures(said))</figure>

    """
  }

  private func photo(scene: String?, _ first: Explanation.Face) -> HTML {
    let faces = explanation.faces
    let fakes = faces.count(where: \.isFake)
    let count = FigureText.count(faces.count, "face")
    let figures: [HTML] = faces.map { face("Face \(face($0).number)", $0, of: "face") }
    var picture = HTML.nothing
    if let scene {
      picture = self.scene(
        scene, faces, width: first.pictureWidth, height: first.pictureHeight,
        side: PictureReader.photoSide,
        text: "\(explanation.path) with \(count) in boxes, \(fakes) called fake")
    }
    return """
      <article class="media" id="image-\(number)"><h3>\(HTML.name(explanation.path))</h3>
      <p>\(count), <strong>\(FigureText.count(fakes))</strong> called fake</p>
      \(picture)\(figures)</article>

      """
  }

  private func film(_ video: VideoExplanation) -> HTML {
    let (count, all) = (video.framesWithFace, video.frames.count)
    let share =
      count == all
      ? "\(FigureText.count(all, "frame"))" : "the \(count) of \(all) frames with a face"
    var text: HTML = """
      <p>probability of fake <strong>\(FigureText.rate(video.probability))</strong>, the mean over \
      \(share)</p>

      """
    for note in video.notes { text += "<p class=\"note\">\(note)</p>\n" }
    let drawn = explanation.faces.filter { !$0.files.isEmpty }
    let frames: [HTML] = drawn.map { said in
      let face = face(said)
      let time = face.time.map { ", \(FigureText.ratio($0)) s" } ?? ""
      return self.face("Frame \(face.frame ?? 0)\(time)", said, of: "frame", showsScene: true)
    }
    let likeliest: HTML =
      drawn.isEmpty
      ? missing
      : "<h3>Most likely fake of its frames</h3>\n<div class=\"frames\">\(frames)</div>\n"
    return """
      <article class="media" id="image-\(number)">\
      <h3>\(HTML.name(explanation.path))\(tag(video.isFake ? .fake : .real))</h3>
      \(text)\(VideoTimeline(video, number: number).figure)\(likeliest)</article>

      """
  }

  private func face(_ said: Explanation) -> Explanation.Face {
    said.face ?? Explanation.Face(number: 0, box: [0, 0, 0, 0], pictureWidth: 1, pictureHeight: 1)
  }

  private func face(
    _ title: String, _ said: Explanation, of what: String, showsScene: Bool = false
  ) -> HTML {
    var picture = HTML.nothing
    let face = face(said)
    if showsScene, let scene = face.scene {
      picture = self.scene(
        scene, [said], width: face.pictureWidth, height: face.pictureHeight,
        side: PictureReader.frameSide, text: "\(title) of \(said.path) with the face in a box")
    }
    return """
      <figure class="explained"><figcaption><h4>\(title)\(tag(said.verdict))</h4>\(verdict(said))\
      </figcaption>
      \(picture)\(pictures(said, of: "\(title.lowercased()) of "))</figure>

      """
  }

  // MARK: Parts

  private func tag(_ verdict: Explanation.Verdict) -> HTML {
    let kind: HTML = verdict == .fake ? "tag" : "tag calm"
    return "<span class=\"\(kind)\">\(verdict.rawValue)</span>"
  }

  /// A picture with boxes around its faces. They are drawn by the page, over a picture without.
  private func scene(
    _ file: String, _ faces: [Explanation], width: Int, height: Int, side: Int, text: String
  ) -> HTML {
    let scale = min(1, Double(side) / Double(max(width, height)))
    let boxes: [HTML] = faces.map { said in
      let face = face(said)
      func percent(_ value: Float, of size: Int) -> Double {
        min(max(Double(value) / Double(size), 0), 1) * 100
      }
      let (left, top) = (percent(face.box[0], of: width), percent(face.box[1], of: height))
      let right = percent(face.box[2] + 1, of: width)
      let bottom = percent(face.box[3] + 1, of: height)
      let place =
        "left:\(fixed(left, 2))%;top:\(fixed(top, 2))%;width:\(fixed(right - left, 2))%;"
        + "height:\(fixed(bottom - top, 2))%"
      return """
        <span class="box\(said.isFake ? "" : " calm")" style="\(place)"><b>\(face.number)</b></span>
        """
    }
    let picture = Picture.html(
      file: Explanation.file(file, in: folder), max(1, Int(Double(width) * scale)),
      max(1, Int(Double(height) * scale)), text: text)
    return """
      <div class="scene">\(picture)<span aria-hidden="true">\(boxes)</span></div>

      """
  }

  private func verdict(_ explanation: Explanation) -> HTML {
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
    return "<p>\(verdict)</p>\(cosines)"
  }

  private var missing: HTML {
    """
    <p class="note">The pictures were drawn on another host, not into this folder.</p>
    """
  }

  private func pictures(_ explanation: Explanation, of part: String = "") -> HTML {
    guard !explanation.pictures.isEmpty else { return missing }
    var cells: [HTML] = []
    for (kind, label, text) in [
      (PictureKind.image, "image", "What the detector saw of"),
      (.fam, "FAM", "Forgery Attention Map over"), (.cam, "CAM", "Class activation map over"),
      (.erased, "erased", "What SFE would leave of"),
    ] {
      guard let drawn = explanation.pictures.first(where: { $0.kind == kind }) else { continue }
      let picture = Picture.html(
        file: drawn.file(in: folder), subject.crop, subject.crop,
        text: "\(text) \(part)\(explanation.path)")
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
