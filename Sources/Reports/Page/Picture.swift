import Foundation
import Images

/// A picture inside the page, as a `data:` address.
enum Picture {
  /// Larger pictures are reduced to this many pixels a side.
  static let largestSide = 224
  /// Up to this side pictures are stored without loss; they are enlarged on the page.
  static let losslessSide = 96

  /// - Parameters:
  ///   - text: what is seen, for those who can't see it.
  ///   - isSmooth: has no fine detail, so that the small file of a JPEG does at any size.
  static func html(_ image: RGBImage, text: String, isSmooth: Bool = false) throws -> HTML {
    let side = max(image.width, image.height)
    var image = image
    if side > largestSide {
      image = ImageResize.bilinear(
        image, width: max(1, image.width * largestSide / side),
        height: max(1, image.height * largestSide / side))
    }
    let isLossless = side <= losslessSide && !isSmooth
    let bytes =
      try isLossless
      ? PNGCodec.encode(image, level: 9)
      : JPEGCodec.encode(image, quality: 88, subsampled: false)
    let data = Data(bytes).base64EncodedString()
    return """
      <img src="data:image/\(isLossless ? "png" : "jpeg");base64,\(HTML(markup: data))" \
      width="\(image.width)" height="\(image.height)" alt="\(text)">
      """
  }
}
