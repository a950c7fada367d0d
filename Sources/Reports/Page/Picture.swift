import Foundation
import Images

/// A picture of a page: inside it, as a `data:` address, or in a file beside it.
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

  /// A picture that lies beside the page. It is read when it comes into view.
  ///
  /// - Parameters:
  ///   - file: its name, or folder and name, from where the page is.
  ///   - text: what is seen, for those who can't see it.
  static func html(file: String, _ width: Int, _ height: Int, text: String) -> HTML {
    """
    <img src="\(address(file))" width="\(width)" height="\(height)" loading="lazy" \
    decoding="async" alt="\(text)">
    """
  }

  /// A file's path as a relative address: whatever its name means to a browser, it is only a name.
  static func address(_ file: String) -> String {
    var address = ""
    for byte in file.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "/"):
        address.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        address += "%" + (digits.utf8.count < 2 ? "0" : "") + digits
      }
    }
    return address
  }
}
