import Images

/// What is done to an image before the detector sees it.
struct Preparation: Sendable {
  let crop: Int
  let size: Int

  init(crop: Int, size: Int?) {
    self.crop = crop
    self.size = max(crop, size ?? (crop * 8 + 3) / 7)
  }

  func apply(_ image: RGBImage) -> RGBImage {
    let square = ImageResize.bilinear(image.centreSquare(), width: size, height: size)
    return square.cropped(
      left: (size - crop) / 2, top: (size - crop) / 2, width: crop, height: crop)
  }
}
