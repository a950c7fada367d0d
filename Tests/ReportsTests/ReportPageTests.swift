import Foundation
import Testing

@testable import ForgeryMining
@testable import Foundations
@testable import Reports

@Suite struct ReportPageTests {
  private func pieces(_ page: String, _ element: String) -> [String] {
    page.matches(of: try! Regex("(?s)<\(element)[ >].*?</\(element)>")).map {
      String(page[$0.range])
    }
  }

  private func plots(_ page: String) -> [String: Elements] {
    var plots: [String: Elements] = [:]
    for svg in pieces(page, "svg") where svg.hasPrefix("<svg class=\"plot\"") {
      let elements = Elements(svg)
      plots[elements.all.first?.attributes["id"] ?? ""] = elements
    }
    return plots
  }

  private func series(_ plot: Elements?, _ name: String) throws -> (x: [Double?], y: [Double?]) {
    let path = try #require(
      plot?.all.first { $0.name == "path" && $0.attributes["data-series"] == name })
    func numbers(_ key: String) -> [Double?] {
      path.attributes[key]!.split(separator: ",", omittingEmptySubsequences: false).map {
        Double($0)
      }
    }
    return (numbers("data-x"), numbers("data-y"))
  }

  @Test func everySectionAndPlotIsThere() throws {
    let page = try ReportPage(ReportFixture.contents()).html()
    for section in [
      "training", "detection", "localisation", "prototypes", "attribution", "examples",
      "configuration", "environment",
    ] {
      #expect(page.contains("<section id=\"\(section)\""), "\(section)")
      #expect(page.contains("href=\"#\(section)\""), "\(section)")
    }
    #expect(!page.contains("class=\"absent\""))
    #expect(
      Set(plots(page).keys) == [
        "plot-loss", "plot-validation", "plot-low-rates", "plot-learning-rate", "plot-throughput",
        "plot-roc", "plot-scores",
      ])
    #expect(pieces(page, "table").count == 1 + 1 + 2 + 4 + 2)
    // One picture for each example's four, and three of each prototype.
    #expect(page.matches(of: /<img src="data:image/).count == 3 * 4 + 3 * 3)
    #expect(page.utf8.count < 3 << 20)
  }

  @Test func everyDrawingIsWellFormedAndNamed() throws {
    let page = try ReportPage(ReportFixture.contents()).html()
    let drawings = pieces(page, "svg")
    #expect(drawings.count > 10)
    for drawing in drawings { #expect(Elements(drawing).isWhole, "\(drawing.prefix(200))") }
    var identifiers: [String] = []
    for match in page.matches(of: #/ id="([^"]*)"/#) { identifiers.append(String(match.1)) }
    #expect(Set(identifiers).count == identifiers.count)
    for (name, plot) in plots(page) {
      let root = try #require(plot.all.first)
      #expect(root.attributes["role"] == "img")
      for label in root.attributes["aria-labelledby"]!.split(separator: " ") {
        let named = plot.all.first { $0.attributes["id"] == String(label) }
        #expect(named?.text.isEmpty == false, "\(name) \(label)")
      }
      #expect(plot.all.filter { $0.attributes["class"] == "tick" }.count >= 5, "\(name)")
      #expect(plot.all.filter { $0.attributes["class"] == "axis-title" }.count == 2, "\(name)")
    }
    // Everything else is well-formed as well, once void elements are closed.
    #expect(try Elements(bodyOf: page).isWhole)
  }

  @Test func curvesTellTheValuesOfTheMetricsFile() throws {
    let page = try ReportPage(ReportFixture.contents()).html()
    let loss = try series(plots(page)["plot-loss"], "each step")
    #expect(loss.x.count == 400)
    for (x, y) in zip(loss.x, loss.y) {
      let loss = ReportFixture.loss(Int(try #require(x)))
      #expect(y == Double(String(format: "%.6g", loss)))
    }
    let validation = try series(plots(page)["plot-validation"], "AUC")
    #expect(validation.x == [100, 200, 300, 400])
    #expect(validation.y == [0.7, 0.75, 0.8, 0.85])
    let rate = try series(plots(page)["plot-learning-rate"], "learning rate")
    #expect(rate.y.allSatisfy { $0 == 0.001 })
    let shares = try series(plots(page)["plot-scores"], "fake")
    #expect(shares.y == [0, 0.125, 0.875])
    let marks = plots(page)["plot-validation"]!.all.filter { $0.name == "circle" }
    #expect(marks.count == 3 * 4 && marks[1].text == "AUC: 0.75 at step 200")
  }

  @Test func theROCCurveIsDrawnOnALogarithmicAxis() throws {
    let contents = try ReportFixture.contents()
    let plot = try #require(plots(try ReportPage(contents).html())["plot-roc"])
    #expect(plot.all[0].attributes["data-x-scale"] == "logarithmic")
    #expect(plot.all[0].attributes["data-x-low"] == "0.01")
    let curve = try series(plot, "all methods")
    let metrics = try #require(contents.evaluation?.metrics.overall)
    // The highest TPR at an FPR of at most one in a hundred is the one that the metrics name.
    let reached = zip(curve.x, curve.y).filter { $0.0! <= 0.01 }.compactMap(\.1).max()
    #expect(try abs(#require(reached) - #require(metrics.truePositiveRates[0])) < 1e-6)
    #expect(curve.x.last == 1 && curve.y.last == 1)
    for method in ReportFixture.methods {
      _ = try series(plot, printable(method, limit: .max))
    }
  }

  @Test func headlinesAndTablesTellTheMetrics() throws {
    let contents = try ReportFixture.contents()
    let page = try ReportPage(contents).html()
    let evaluation = try #require(contents.evaluation)
    let overall = evaluation.metrics.overall
    #expect(page.contains("<dt>AUC</dt><dd><strong>\(FigureText.rate(overall.auc))</strong>"))
    #expect(page.contains("<dt>EER</dt><dd><strong>\(FigureText.rate(overall.eer))</strong>"))
    #expect(page.contains("Scored were 200 of 5,000 images"))
    for (name, figures) in evaluation.metrics.methods {
      #expect(
        page.contains(
          "<th scope=\"row\"><bdi>\(HTML.escaped(name))</bdi></th><td>\(figures.fake)</td>"
            + "<td>\(FigureText.rate(figures.auc))</td>"), "\(name)")
    }
    let confusion = try #require(evaluation.attribution?.plain.confusion)
    let table = try #require(pieces(page, "table").first { $0.contains("Confusion, plain") })
    let cells = table.matches(of: /<td[^>]*>([^<]*)<\/td>/).map { String($0.1) }
    #expect(cells == confusion.counts.joined().map { "\($0)" })
    #expect(
      page.contains("<td>d/&lt;train&gt;") || page.contains("&quot;d/&lt;train&gt;-*.h5&quot;"))
  }

  @Test func namesOutOfDataStayNames() throws {
    let page = try ReportPage(ReportFixture.contents()).html()
    #expect(!page.contains("<script>alert") && !page.contains("<b>0</b>"))
    #expect(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"))
    #expect(!page.unicodeScalars.contains { $0.value == 0x202E || $0.value == 0x1B })
    #expect(page.matches(of: /<script/).count == 1)
  }

  @Test func nothingIsFetchedAndOnlyThePagesScriptMayRun() throws {
    let page = try ReportPage(ReportFixture.contents()).html()
    let addresses = page.matches(of: /(?:src|href|url\(|action|data)="?([^"'\s>)]*)/).map {
      String($0.1)
    }
    for address in addresses where !address.isEmpty {
      #expect(address.hasPrefix("#") || address.hasPrefix("data:image/"), "\(address.prefix(80))")
    }
    #expect(!page.contains("@import") && !page.contains("@font-face") && !page.contains("<link"))
    var rest = page
    for name in ["http://www.w3.org/2000/svg"] { rest = rest.replacing(name, with: "") }
    #expect(!rest.contains("://"))
    // The policy names this script by its digest.
    let script = try #require(pieces(page, "script").first)
    let text = script.dropFirst("<script>".count).dropLast("</script>".count)
    var digest = SHA256()
    digest.update(Array(text.utf8))
    let name = Data(digest.finish()).base64EncodedString()
    let policy = page.replacing("&#39;", with: "'")
    #expect(policy.contains("default-src 'none'") && policy.contains("script-src 'sha256-\(name)'"))
  }

  @Test func whatARunLacksIsLeftOutWithASentence() throws {
    let page = try ReportPage(ReportContents(name: "new")).html()
    for section in ["training", "detection", "localisation", "prototypes", "examples"] {
      let part = try #require(pieces(page, "section").first { $0.contains("id=\"\(section)\"") })
      #expect(part.matches(of: /<p class="absent">/).count == 1, "\(section)")
    }
    #expect(plots(page).isEmpty)
    var contents = ReportContents(name: "new")
    contents.missing[.detection] = "The <checkpoint> can't be used."
    #expect(try ReportPage(contents).html().contains("The &lt;checkpoint&gt; can&#39;t be used."))
  }

  @Test(arguments: [1, 2, 19, 20]) func shortTrainingsHaveCurves(steps: Int) throws {
    var contents = ReportContents(name: "short")
    contents.record = try ReportFixture.record(steps: steps, validations: 1)
    let all = plots(try ReportPage(contents).html())
    #expect(all.count == 5 && all.values.allSatisfy(\.isWhole))
    let name = steps < 20 ? "training" : "each step"
    #expect(try series(all["plot-loss"], name).y.count == steps)
  }

  @Test func lossesThatAreNotNumbersAreGapsAndAreCounted() throws {
    var contents = ReportContents(name: "diverged")
    var record = TrainingRecord()
    for step in 1...40 {
      record.add([
        "step": .integer(step), "loss": step > 30 ? .null : .number(step == 30 ? 1e9 : 0.5),
      ])
    }
    record.add(["step": 40, "validation_auc": .null])
    record.add(["epoch": 3])
    contents.record = record
    let page = try ReportPage(contents).html()
    let loss = try series(plots(page)["plot-loss"], "each step")
    #expect(loss.y.count { $0 == nil } == 10 && loss.y.contains(1e9))
    #expect(page.contains("10 steps had a loss that is not a number"))
    #expect(plots(page)["plot-loss"]?.all[0].attributes["data-y-scale"] == "logarithmic")
    for step in 31...40 { contents.record.add(["step": .integer(step + 10), "loss": .null]) }
    #expect(try plots(ReportPage(contents).html())["plot-throughput"] == nil)
  }

  @Test func methodsThatTheTrainingLeftOutAreNamed() throws {
    var contents = try ReportFixture.contents()
    #expect(try !ReportPage(contents).html().contains("data.exclude_methods): figures"))
    contents.evaluation!.leftOutMethods = [ReportFixture.methods[1]]
    let page = try ReportPage(contents).html()
    #expect(
      page.contains(
        "some by <bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>, which training and validation did"
      ))
  }

  @Test func oneMethodAloneHasNoMatrixOfSimilarities() throws {
    var contents = try ReportFixture.contents()
    let side = 8
    let one = Prototypes(
      methods: ["swap"], height: side, width: side,
      maps: (0..<side * side).map { Float($0) / 64 }, counts: [3])
    contents.evaluation!.prototypes = PrototypeGallery(
      prototypes: one, meanFaces: nil, origin: "are the checkpoint's own")
    contents.evaluation!.methodCurves = [("swap", contents.evaluation!.curve)]
    contents.evaluation!.attribution = nil
    contents.evaluation!.localisation = [:]
    let page = try ReportPage(contents).html()
    #expect(!page.contains("Similarity of the prototypes") && !page.contains("ramp-balance"))
    let roc = try #require(plots(page)["plot-roc"])
    #expect(roc.all.filter { $0.attributes["data-series"] != nil }.count == 1)
    #expect(page.contains("have no masks") && page.contains("Attribution was not measured"))
  }

  @Test func theSameContentsGiveTheSameBytes() throws {
    let contents = try ReportFixture.contents()
    #expect(try ReportPage(contents).html() == ReportPage(contents).html())
  }

  @Test func longTrainingsAreThinned() throws {
    var contents = ReportContents(name: "long")
    contents.record = try ReportFixture.record(steps: 50_000, validations: 500)
    let page = try ReportPage(contents).html()
    let loss = try series(plots(page)["plot-loss"], "each step")
    #expect(loss.x.count <= 1000 && loss.y.contains(3.25))
    #expect(page.utf8.count < 400_000)
    #expect(page.contains("The last 200 of 500 evaluations"))
  }
}
