import CDlib
import Images
import TestSupport
import Testing

@testable import Faces

@Suite struct FaceDetectorTests {
  @Test func tinyAndThinImagesHaveNoFaces() throws {
    let detector = try FaceDetector()
    for (width, height) in [
      (1, 1), (1, 2), (2, 1), (3, 3), (1, 3000), (3000, 1), (7, 40), (81, 80),
    ] {
      let image = RGBImage(
        width: width, height: height, pixels: .init(repeating: 128, count: width * height * 3))
      for upsampling in 0...3 {
        for grey in [false, true] {
          #expect(try detector.faces(in: image, grey: grey, upsampling: upsampling).isEmpty)
        }
      }
    }
  }

  /// Colour and brightness are the same of an image without colour.
  @Test func aGreyImageHasTheSameFacesEitherWay() throws {
    let scenes = try FaceScenes.load().scenes
    let detector = try FaceDetector()
    for scene in scenes.prefix(4) {
      let image = try FaceScenes.image(scene.file)
      let grey = RGBImage(
        width: image.width, height: image.height,
        pixels: GreyLevels.of(image).flatMap { [$0, $0, $0] })
      #expect(
        GreyLevels.of(grey) == stride(from: 0, to: grey.pixels.count, by: 3).map { grey.pixels[$0] }
      )
      let (colour, brightness) = (
        try detector.faces(in: grey), try detector.faces(in: grey, grey: true)
      )
      #expect(colour.count == brightness.count)
      // dlib scales colours and grey levels by other code, so a box may be of the next size.
      for (left, right) in zip(colour, brightness) {
        #expect(left.intersectionOverUnion(right) > 0.6)
      }
    }
  }

  @Test func everyKindOfProcessorFindsTheSameFaces() throws {
    let image = try FaceScenes.image(FaceScenes.load().scenes[0].file)
    var found: [[rfm_dlib_box]] = []
    for kernels in ["generic", "avx2"] {
      var message = [CChar](repeating: 0, count: Int(RFM_DLIB_MESSAGE_SIZE))
      var detector: OpaquePointer?
      // A processor without AVX2 says so.
      guard rfm_dlib_detector_create(kernels, &detector, &message) == RFM_DLIB_OK else {
        #expect(kernels == "avx2" && message[0] != 0)
        continue
      }
      defer { rfm_dlib_detector_destroy(detector) }
      #expect(String(cString: rfm_dlib_kernels(detector)) == kernels)
      var boxes = [rfm_dlib_box](repeating: rfm_dlib_box(), count: 16)
      var count = 0
      let status = rfm_dlib_detect(
        detector, image.pixels, Int64(image.width), Int64(image.height), 3, 1, &boxes, 16, &count,
        &message)
      #expect(status == RFM_DLIB_OK && count > 0)
      found.append(Array(boxes[..<count]))
    }
    let first = try #require(found.first)
    for other in found.dropFirst() {
      #expect(other.map(\.left) == first.map(\.left) && other.map(\.top) == first.map(\.top))
      #expect(other.map(\.right) == first.map(\.right))
      #expect(zip(other, first).allSatisfy { abs($0.score - $1.score) < 0.001 })
    }
    var message = [CChar](repeating: 0, count: Int(RFM_DLIB_MESSAGE_SIZE))
    var none: OpaquePointer?
    #expect(rfm_dlib_detector_create("mmx", &none, &message) == RFM_DLIB_FAILED && none == nil)
  }

  /// Detectors of several threads share the filters and nothing else.
  @Test func detectorsOfSeveralThreadsFindTheSame() async throws {
    let image = try FaceScenes.image(FaceScenes.load().scenes[0].file)
    let expected = try FaceDetector().faces(in: image)
    try await withThrowingTaskGroup(of: [FaceBox].self) { group in
      for _ in 0..<4 { group.addTask { try FaceDetector().faces(in: image) } }
      for try await found in group { #expect(found == expected) }
    }
  }

  @Test func upsamplingEndsWhereMemoryWould() {
    typealias Scale = FaceDetector.Scale
    #expect(Scale(width: 640, height: 480, upsampling: 1).upsamplings == 1)
    #expect(Scale(width: 3840, height: 2160, upsampling: 1).upsamplings == 1)
    #expect(Scale(width: 3840, height: 2160, upsampling: 2).upsamplings == 1)
    #expect(Scale(width: 4032, height: 3024, upsampling: 1).upsamplings == 0)
    let large = Scale(width: 20_000, height: 5_000, upsampling: 1)
    #expect(large.isReduced && large.upsamplings == 0)
    #expect(large.width * large.height <= FaceDetector.maximumPixels)
    #expect(abs(Double(large.width) / Double(large.height) - 4) < 0.01)
    let thin = Scale(width: 1, height: 1 << 40, upsampling: 1)
    #expect(thin.width == 1)
    for (width, height) in [(1, 1), (4097, 4097), (1 << 29, 1)] {
      for upsampling in 0...3 {
        let scale = Scale(width: width, height: height, upsampling: upsampling)
        #expect(scale.upsamplings <= upsampling)
        #expect(
          (scale.width * scale.height) << (2 * scale.upsamplings) <= FaceDetector.maximumPixels)
      }
    }
  }
}
