/// Saved as JPEG with chroma halved in both directions, as Pillow and OpenCV do by default, and read
/// again; see ``Degradation/jpeg(quality:)``.
struct JPEGCompression: Augmentation {
  static let name = "jpeg"
  static let summary = "saved as JPEG"
  static let part: UInt8 = 12
  static let quality = AugmentationParameter(
    "quality", 40...100, within: 1...100, isWhole: true, "of libjpeg")
  static let parameters = [quality]

  let quality: Int

  init(quality: Int) { self.quality = quality }

  init(_ draws: inout AugmentationDraws) { self.init(quality: draws.whole(of: Self.quality)) }

  func apply(to image: inout AugmentedImage) throws {
    image.picture = try image.picture.savedAsJPEG(quality: quality)
  }
}
