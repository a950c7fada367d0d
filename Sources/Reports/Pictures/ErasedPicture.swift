import ForgeryMining
import Images

/// What an erasing that goes by Forgery Attention Maps leaves of an image.
enum ErasedPicture {
  /// - Parameters:
  ///   - image: what the detector saw.
  ///   - attention: its FAM, float32 `[height, width]`.
  ///   - normalisation: the detector's, for erased pixels are drawn in its space.
  static func render(
    _ image: RGBImage, attention: [Float], erasing: any ErasingMethod,
    normalisation: PixelNormalisation, streams: inout ErasingStreams
  ) -> RGBImage {
    var input = normalisation.input(of: image.pixels)
    erasing.erase(
      image: &input, guide: attention, height: image.height, width: image.width, streams: &streams)
    return RGBImage(
      width: image.width, height: image.height,
      pixels: input.enumerated().map {
        let level = normalisation.level(of: Double($1), channel: $0 % 3)
        return UInt8(min(max(level, 0), 255).rounded())
      })
  }
}
