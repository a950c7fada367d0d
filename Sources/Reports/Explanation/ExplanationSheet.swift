import Images

/// What the detector says about one image, side by side: the image, where its decision is sensitive
/// (FAM), what the class activation map shows (CAM), and what SFE would erase.
public enum ExplanationSheet {
  /// The sheet, each picture `side` pixels wide.
  ///
  /// - Parameters:
  ///   - image: what the detector saw.
  ///   - attention: FAM, float32 `[height, width]`, of any size.
  ///   - activation: CAM of fake less CAM of real, likewise.
  ///   - erased: the image after SFE.
  ///   - title: the image's name.
  ///   - verdict: lines below the title, such as the probability of fake.
  public static func render(
    image: RGBImage, attention: [Float], attentionSize: (width: Int, height: Int),
    activation: [Float], activationSize: (width: Int, height: Int), erased: RGBImage,
    title: String, verdict: [String], side: Int = 224
  ) -> RGBImage {
    let (margin, label) = (16, 24)
    let head = margin + 20 + verdict.count * 18
    let height = max(1, side * image.height / image.width)
    func fitted(_ picture: RGBImage) -> RGBImage {
      ImageResize.bilinear(picture, width: side, height: height)
    }
    let face = fitted(image)
    let cells = [
      ("image", face),
      ("attention (FAM)", overlay(attention, attentionSize, on: face)),
      ("activation (CAM)", overlay(activation, activationSize, on: face)),
      ("erased by SFE", fitted(erased)),
    ]
    let width = margin + cells.count * (side + margin)
    var sheet = Sheet(width: width, height: head + label + height + margin)
    sheet.write(
      Sheet.fitting(title, width: width - 2 * margin, capital: 11), x: margin, y: margin + 12,
      capital: 11, weight: 1.9)
    for (line, text) in verdict.enumerated() {
      sheet.write(
        Sheet.fitting(text, width: width - 2 * margin, capital: 9), x: margin,
        y: margin + 32 + line * 18, capital: 9)
    }
    for (column, cell) in cells.enumerated() {
      let x = margin + column * (side + margin)
      sheet.write(Sheet.fitting(cell.0, width: side, capital: 8), x: x, y: head + 14, capital: 8)
      sheet.put(cell.1, x: x, y: head + label)
    }
    return sheet.image
  }

  private static func overlay(
    _ map: [Float], _ size: (width: Int, height: Int), on face: RGBImage
  ) -> RGBImage {
    Heatmap.overlay(map, width: size.width, height: size.height, on: face)
  }
}
