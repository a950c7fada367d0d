import Foundations
import Testing

@testable import Faces

@Suite struct FacePreprocessingTests {
  @Test func whatIsWrittenIsRead() throws {
    for alignment in FaceCropSettings.Alignment.allCases {
      for grey in [false, true] {
        let written = FacePreprocessing(
          settings: FaceCropSettings(
            size: 224, margin: 1.5, alignment: alignment, detectsInGrey: grey, upsampling: 2),
          detectorVersion: FaceDetector.version,
          landmarkModel: grey ? nil : String(repeating: "0a", count: 32))
        let text = try written.json.line()
        #expect(try FacePreprocessing(parsing: text) == written)
      }
    }
    #expect(FaceDetector.version.split(separator: ".").count == 3)
  }

  @Test func theAttributeIsThis() throws {
    let text = try FacePreprocessing(
      settings: FaceCropSettings(), detectorVersion: "19.24.0", landmarkModel: nil
    ).json.line()
    #expect(
      text == #"{"detector":"dlib-frontal-hog","dlib":"19.24.0","colours":"rgb","upsampling":1,"#
        + #""margin":1.3,"alignment":"none","size":256,"resampling":"bilinear-antialiased"}"#)
  }

  @Test func whatIsNotKnownIsRefused() throws {
    let good = try FacePreprocessing(
      settings: FaceCropSettings(), detectorVersion: "19.24.0", landmarkModel: nil
    ).json.line()
    func refusal(_ text: String) -> String {
      do {
        _ = try FacePreprocessing(parsing: text, file: "a.h5")
        return ""
      } catch {
        #expect(ExitStatus(ending: error) == .badData)
        return "\(error)"
      }
    }
    #expect(refusal(good) == "")
    #expect(refusal(good.dropLast() + #","later":{"x":1}}"#) == "")
    for (found, other, named) in [
      ("dlib-frontal-hog", "mtcnn", "detector"), (#""rgb""#, #""lab""#, "colours"),
      (#""upsampling":1"#, #""upsampling":-1"#, "upsampling"),
      (#""margin":1.3"#, #""margin":1e9"#, "margin"),
      (#""margin":1.3"#, #""margin":"x""#, "margin"),
      (#""none""#, #""affine""#, "alignment"), (#""size":256"#, #""size":0"#, "size"),
      (#""size":256,"#, "", "size"), ("bilinear-antialiased", "bicubic", "resampling"),
      (#"}"#, #","landmark_model":"xyz"}"#, "landmark_model"),
    ] {
      let text = good.replacing(found, with: other)
      #expect(text != good)
      #expect(refusal(text).hasPrefix("a.h5: preprocessing: \(named) is "), "\(refusal(text))")
    }
    #expect(refusal("[]").contains("object"))
    #expect(refusal("{").contains("JSON"))
  }
}
