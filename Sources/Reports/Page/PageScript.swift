import Foundation
import Foundations

/// What the page does for those who allow scripts: exact values under the pointer and a switch
/// between light and dark. Nothing is only readable with it.
enum PageScript {
  /// Nothing may be fetched, framed or sent; of scripts only this one runs.
  static var policy: String {
    var digest = SHA256()
    digest.update(Array(source.utf8))
    let hash = Data(digest.finish()).base64EncodedString()
    return "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
      + "script-src 'sha256-\(hash)'; base-uri 'none'; form-action 'none'"
  }

  /// Resources/report.js.
  static let source = String(decoding: PackageResources.report_js, as: UTF8.self)
}
