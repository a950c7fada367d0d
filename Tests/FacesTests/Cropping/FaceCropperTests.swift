import Foundations
import Images
import Testing

@testable import Faces

@Suite struct FaceCropperTests {
  static let settings = [
    FaceCropSettings(size: 48), FaceCropSettings(size: 48, alignment: .similarity),
    FaceCropSettings(size: 160, margin: 2.5),
    FaceCropSettings(size: 160, margin: 0.7, alignment: .similarity),
  ]

  private func cropper(_ settings: FaceCropSettings) throws -> FaceCropper {
    try FaceCropper(settings, landmarkModel: FaceScenes.smallModel.get())
  }

  @Test func facesAreToldLargestFirst() throws {
    let scenes = try FaceScenes.load().scenes.filter { $0.rgb.count > 1 }
    let cropper = try FaceCropper(FaceCropSettings(size: 32))
    for scene in scenes.prefix(3) {
      let faces = try cropper.faces(in: try FaceScenes.image(scene.file))
      #expect(faces.count == scene.rgb.count)
      #expect(zip(faces, faces.dropFirst()).allSatisfy { $0.box.area >= $1.box.area })
      #expect(faces.allSatisfy { $0.image.width == 32 && $0.image.height == 32 })
      #expect(faces.allSatisfy { $0.landmarks == nil && $0.mask == nil })
    }
  }

  /// A picture of the mask, cropped as pixels are, is marked where the cropped mask is.
  @Test(arguments: settings) func masksGoTheWayOfPixels(settings: FaceCropSettings) throws {
    let cropper = try cropper(settings)
    let scene = try FaceScenes.load().scenes[3]
    let image = try FaceScenes.image(scene.file)
    var draws = SeededDraws(seed: 6)
    // Blobs, so that there are edges everywhere.
    let centres = (0..<40).map { _ in
      (
        Int.random(in: 0..<image.width, using: &draws),
        Int.random(in: 0..<image.height, using: &draws)
      )
    }
    var levels = [UInt8](repeating: 0, count: image.width * image.height)
    for y in 0..<image.height {
      for x in 0..<image.width {
        let near = centres.contains { ($0 - x) * ($0 - x) + ($1 - y) * ($1 - y) < 90 }
        levels[y * image.width + x] = near ? 255 : 0
      }
    }
    let mask = GreyMask(width: image.width, height: image.height, pixels: levels)
    let picture = RGBImage(
      width: image.width, height: image.height, pixels: levels.flatMap { [$0, $0, $0] })
    let box = FaceBox(scene.rgb[0].box)
    let crop = try #require(cropper.crop(box, of: image, mask: mask))
    let found = try #require(crop.mask)
    #expect(found.count == settings.size * settings.size)
    #expect(found.contains(0) && found.contains(255))
    // Landmarks of the picture of the mask are others: the crop is made with those of the image.
    let seen: RGBImage
    if settings.alignment == .none {
      seen = try #require(cropper.crop(box, of: picture, mask: nil)).image
    } else {
      let landmarks = try FaceScenes.smallModel.get().landmarks(in: image, of: box)
      let transform = try #require(
        SimilarityTransform(
          from: AlignmentTemplate.landmarks.map { SIMD2<Double>(landmarks[$0]) },
          to: AlignmentTemplate.points(size: settings.size, margin: settings.margin)))
      let pixels = try #require(
        ImageWarp.warp(
          picture.pixels, width: picture.width, height: picture.height, channels: 3, by: transform,
          size: settings.size))
      seen = RGBImage(width: settings.size, height: settings.size, pixels: pixels)
    }
    #expect(found == (0..<found.count).map { seen.pixels[3 * $0] >= 128 ? 255 : 0 })
  }

  /// A spot drawn at a landmark is seen in the crop where the landmark is said to be.
  @Test(arguments: settings) func landmarksGoTheWayOfPixels(settings: FaceCropSettings) throws {
    let cropper = try cropper(settings)
    let scene = try FaceScenes.load().scenes[3]
    let image = try FaceScenes.image(scene.file)
    let box = FaceBox(scene.rgb[0].box)
    let landmarks = try FaceScenes.smallModel.get().landmarks(in: image, of: box)
    let crop = try #require(cropper.crop(box, of: image, mask: nil))
    let places = try #require(crop.landmarks)
    #expect(places.count == 68)
    // Far enough from the border that the crop shows the whole spot.
    let inside = [30, 37, 44, 49, 55].filter { index in
      let reach = Float(settings.size) / 8
      let range = reach...Float(settings.size) - reach
      return range.contains(places[index].x) && range.contains(places[index].y)
    }
    #expect(inside.count >= 3)
    for index in inside {
      let spot = landmarks[index]
      // A mask of a disc around it; its centre of mass in the crop.
      var levels = [UInt8](repeating: 0, count: image.width * image.height)
      for y in 0..<image.height {
        for x in 0..<image.width {
          let (dx, dy) = (Float(x) - spot.x, Float(y) - spot.y)
          if dx * dx + dy * dy < 12 { levels[y * image.width + x] = 255 }
        }
      }
      let mask = GreyMask(width: image.width, height: image.height, pixels: levels)
      let marked = try #require(cropper.crop(box, of: image, mask: mask)?.mask)
      let pixels = marked.indices.filter { marked[$0] == 255 }
      try #require(!pixels.isEmpty)
      let centre =
        pixels.reduce(SIMD2<Float>.zero) {
          $0 + SIMD2(Float($1 % settings.size), Float($1 / settings.size))
        } / Float(pixels.count)
      let distance = centre - places[index]
      // A small disc's centre is known to half a pixel.
      #expect(abs(distance.x) < 0.5 && abs(distance.y) < 0.5, "\(index): \(centre)")
    }
  }

  @Test func alignedEyesAndMouthLieWhereTheTemplateHasThem() throws {
    let scene = try FaceScenes.load().scenes[3]
    let crop = try #require(
      cropper(FaceCropSettings(size: 112, margin: 1, alignment: .similarity))
        .crop(FaceBox(scene.rgb[0].box), of: FaceScenes.image(scene.file), mask: nil))
    let points = AlignmentTemplate.landmarks.map { crop.landmarks![$0] }
    let goals = AlignmentTemplate.points(size: 112, margin: 1)
    // The sums of both are the same after the best transform.
    let sum = points.reduce(.zero, +) - goals.map { SIMD2<Float>($0) }.reduce(.zero, +)
    #expect(abs(sum.x) < 0.01 && abs(sum.y) < 0.01)
    #expect(points[0].x < points[1].x && points[0].y < points[3].y)
  }

  @Test func aMaskChoosesTheForgedFace() throws {
    let scene = try #require(try FaceScenes.load().scenes.first { $0.rgb.count == 2 })
    let image = try FaceScenes.image(scene.file)
    let cropper = try FaceCropper(FaceCropSettings(size: 32))
    for face in scene.rgb {
      let box = FaceBox(face.box)
      var levels = [UInt8](repeating: 0, count: image.width * image.height)
      let middle = (Int(box.left + box.right) / 2, Int(box.top + box.bottom) / 2)
      for y in middle.1 - 4...middle.1 + 4 {
        for x in middle.0 - 4...middle.0 + 4 { levels[y * image.width + x] = 200 }
      }
      let mask = GreyMask(width: image.width, height: image.height, pixels: levels)
      var track = FaceTrack()
      let crop = try #require(try cropper.face(in: image, mask: mask, track: &track))
      #expect(crop.box.distance(to: box) <= 2)
      #expect(crop.mask?.contains(255) == true)
    }
    var track = FaceTrack()
    let wrong = GreyMask(width: 2, height: 2, pixels: [0, 0, 0, 0])
    #expect(throws: FaceError.self) { try cropper.face(in: image, mask: wrong, track: &track) }
  }

  @Test func settingsOutOfTheirRangeAreRefused() throws {
    for settings in [
      FaceCropSettings(size: 0), FaceCropSettings(size: 1 << 20), FaceCropSettings(margin: .nan),
      FaceCropSettings(margin: 0), FaceCropSettings(margin: 100), FaceCropSettings(upsampling: -1),
      FaceCropSettings(upsampling: 9), FaceCropSettings(alignment: .similarity),
    ] {
      let error = #expect(throws: FaceError.self) { try FaceCropper(settings) }
      #expect(error?.exitStatus == .usage)
    }
  }

  @Test func maskPicturesInColourOrOfZerosAndOnesAreMasks() {
    let colour = GreyMask(RGBImage(width: 2, height: 1, pixels: [0, 0, 0, 0, 0, 250]))
    #expect(colour.pixels == [0, 250] && colour.isMarked)
    let ones = RGBImage(width: 2, height: 1, pixels: [0, 0, 0, 1, 1, 1])
    #expect(!GreyMask(ones).isMarked)
    #expect(GreyMask(ones, forgedFrom: 1).pixels == [0, 255])
    #expect(!GreyMask(RGBImage(width: 1, height: 1, pixels: [5, 5, 5])).isMarked)
  }
}
